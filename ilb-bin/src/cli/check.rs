use clap::{Arg, ArgMatches, Command};

use super::{Exit, Failure, inputs};
use crate::settings::{self, Settings};

pub(super) fn form() -> Command {
    Command::new("check")
        .about("Check the settings without any connection, and show what holds and where it comes from")
        .arg(
            Arg::new("output")
                .short('o')
                .long("output")
                .value_name("FORM")
                .value_parser(["table", "json"])
                .default_value("table")
                .help("How to show it"),
        )
        .args(inputs::flags())
        .after_help("Example: ilb check --config ilb.yaml")
}

pub(super) fn execute(matches: &ArgMatches) -> Result<Exit, Failure> {
    let settings = Settings::load(&inputs::of(matches))?;
    if matches.get_one::<String>("output").is_some_and(|form| form == "json") {
        super::output::print_json(&settings.effective)?;
    } else {
        super::output::print(&settings::check(&settings))?;
    }
    Ok(Exit::Done)
}
