use anyhow::Context;
use clap::{ArgMatches, Command};
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};

use super::output::print;
use crate::exit::{EXIT_CODES, Exit, Failure};

pub(super) fn form() -> Command {
    Command::new("man").about("Print the man page").after_help("Example: ilb man | man -l -")
}

pub(super) fn execute(_: &ArgMatches) -> Result<Exit, Failure> {
    print(&page().context("cannot write the man page")?)?;
    Ok(Exit::Done)
}

/// One page with all commands, in the form of roff.
fn page() -> std::io::Result<String> {
    let mut form = super::form().after_help("").after_long_help("");
    form.build();
    let man = Man::new(form.clone());
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    let mut rest = Roff::new();
    rest.control("SH", ["COMMANDS"]);
    for command in form.get_subcommands() {
        rest.control("SS", [command.get_name()]);
        for text in [command.get_about(), command.get_after_help()].into_iter().flatten() {
            rest.text([roman(text.to_string())]).control("PP", []);
        }
    }
    rest.control("SH", ["EXIT STATUS"]);
    for line in EXIT_CODES.lines() {
        let (code, meaning) = line.trim().split_once("  ").unwrap_or((line, ""));
        rest.control("TP", []).text([bold(code)]).text([roman(meaning)]);
    }
    rest.to_writer(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}
