//! `ilb man`: prints the man page.

use anyhow::Context;
use clap::Command;
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};

use super::output::print;
use crate::{
    exit::{EXIT_CODES, Exit, Failure},
    settings::KEYS,
};

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
    // The page has everything that `--help` has.
    let mut command_line = command_line.after_help("").after_long_help("").mut_args(|arg| arg.hide_short_help(false));
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
        let after = subcommand.get_after_long_help().or_else(|| subcommand.get_after_help());
        for text in [subcommand.get_about(), after].into_iter().flatten() {
            for line in text.to_string().lines() {
                rest.text([roman(line.trim())]).control("PP", []);
            }
        }
        // The settings are those of `run`, above.
        for arg in subcommand.get_arguments().filter(|arg| arg.get_help_heading().is_none() && !arg.is_positional()) {
            let Some(name) = arg.get_long().filter(|name| *name != "help" && *name != "config") else { continue };
            let value = arg.get_value_names().filter(|_| arg.get_action().takes_values());
            let value = value.and_then(<[_]>::first).map(|value| format!(" {value}")).unwrap_or_default();
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            rest.control("TP", []).text([bold(format!("--{name}")), roman(value)]).text([roman(help)]);
        }
    }
    rest.control("SH", ["ENVIRONMENT"]);
    for key in KEYS {
        rest.control("TP", [])
            .text([bold(key.variables().join(", "))])
            .text([roman(format!("{} in the file", key.path()))]);
    }
    rest.control("SH", ["FILES"]);
    let file = "The settings, in YAML, JSON or TOML: --config FILE or ILB_CONFIG.";
    rest.control("TP", []).text([bold("ilb.yaml")]).text([roman(file)]);
    rest.control("SH", ["EXIT STATUS"]);
    for line in EXIT_CODES.lines() {
        let (code, meaning) = line.trim().split_once("  ").unwrap_or((line, ""));
        rest.control("TP", []).text([bold(code)]).text([roman(meaning)]);
    }
    rest.to_writer(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_explains_every_setting_and_every_option_of_a_command() {
        let page = page(super::super::command()).unwrap().replace("\\-", "-");
        for key in KEYS {
            let about = key.about().split(['.', '`', '\'', ',']).next().unwrap();
            assert!(page.contains(&format!("--{}", key.flag())) && page.contains(about), "{}: {about}", key.path());
            assert!(key.variables().iter().all(|variable| page.contains(variable)), "{}", key.path());
        }
        for part in ["--url", "--output", "--allow-degraded", "--cluster", "ENVIRONMENT", "FILES", "EXIT STATUS"] {
            assert!(page.contains(part), "{part} is not in the page");
        }
    }
}
