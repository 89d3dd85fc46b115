//! `ilb man`: prints the man page.

use anyhow::Context;
use clap::Command;
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};

use super::output::print;
use crate::exit::{EXIT_CODES, Exit, Failure};

pub(super) fn command() -> Command {
    Command::new("man").about("Print the man page").after_help("Example: ilb man | man -l -")
}

/// Prints the man page of `command_line`, which is the whole command line of ilb.
pub(super) fn execute(command_line: Command) -> Result<Exit, Failure> {
    print(&page(command_line).context("cannot write the man page")?)?;
    Ok(Exit::Done)
}

/// Writes a single page with all subcommands, in roff.
fn page(command_line: Command) -> std::io::Result<String> {
    let mut command_line = command_line.after_help("").after_long_help("");
    command_line.build();
    let man = Man::new(command_line.clone());
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    let mut rest = Roff::new();
    rest.control("SH", ["COMMANDS"]);
    for subcommand in command_line.get_subcommands() {
        rest.control("SS", [subcommand.get_name()]);
        for text in [subcommand.get_about(), subcommand.get_after_help()].into_iter().flatten() {
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
