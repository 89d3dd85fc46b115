use clap::{Arg, ArgMatches, Command, value_parser};
use clap_complete::Shell;

use super::output::print;
use crate::exit::{Exit, Failure};

pub(super) fn form() -> Command {
    Command::new("completions")
        .about("Print the completions of a shell")
        .arg(Arg::new("shell").required(true).value_name("SHELL").value_parser(value_parser!(Shell)))
        .after_help("Example: ilb completions bash > /etc/bash_completion.d/ilb")
}

pub(super) fn execute(matches: &ArgMatches) -> Result<Exit, Failure> {
    let mut text = Vec::new();
    if let Some(shell) = matches.get_one::<Shell>("shell") {
        clap_complete::generate(*shell, &mut super::form(), "ilb", &mut text);
    }
    print(&String::from_utf8_lossy(&text))?;
    Ok(Exit::Done)
}
