use clap::{ArgMatches, Command};

use super::{
    format::Format,
    inputs,
    output::{print, print_json},
};
use crate::exit::{Exit, Failure};
use crate::settings::Settings;

pub(super) fn form() -> Command {
    Command::new("check")
        .about("Check the settings without any connection, and show what holds and where it comes from")
        .arg(Format::flag())
        .args(inputs::flags())
        .after_help("Example: ilb check --config ilb.yaml")
}

pub(super) fn execute(matches: &ArgMatches) -> Result<Exit, Failure> {
    let settings = Settings::load(&inputs::of(matches))?;
    match Format::of(matches) {
        Format::Json => print_json(&settings.effective)?,
        Format::Table => print(&settings.table())?,
    }
    Ok(Exit::Done)
}
