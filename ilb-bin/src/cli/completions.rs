//! `ilb completions`: prints the completion script for a shell.

use clap::{Arg, ArgMatches, Command, value_parser};
use clap_complete::Shell;

use super::output::print;
use crate::exit::{Exit, Failure};

pub(super) fn command() -> Command {
    Command::new("completions")
        .about("Print the completion script for a shell")
        .arg(Arg::new("shell").required(true).value_name("SHELL").value_parser(value_parser!(Shell)))
        .after_help("Example: ilb completions bash > /etc/bash_completion.d/ilb")
}

/// Prints the script that completes `command_line`, which is the whole command line of ilb.
pub(super) fn execute(matches: &ArgMatches, mut command_line: Command) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    if let Some(shell) = matches.get_one::<Shell>("shell") {
        clap_complete::generate(*shell, &mut command_line, "ilb", &mut script);
    }
    print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
