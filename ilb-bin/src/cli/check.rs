//! `ilb check`: checks the settings and shows the effective ones.

use std::io::{self, Write};

use clap::{ArgMatches, Command};

use super::{
    format::Format,
    inputs,
    output::{print, print_json},
};
use crate::{
    exit::{Exit, Failure},
    settings::Settings,
};

pub(super) fn command() -> Command {
    Command::new("check")
        .about("Check the settings without any connection, and show the effective ones and their origin")
        .arg(Format::flag())
        .args(inputs::flags())
        .after_help("Example: ilb check --config ilb.yaml")
}

pub(super) fn execute(matches: &ArgMatches) -> Result<Exit, Failure> {
    let settings = Settings::load(&inputs::from_matches(matches))?;
    match Format::from_matches(matches) {
        Format::Json => print_json(&settings.effective)?,
        Format::Table => print(&settings.table())?,
    }
    for variable in &settings.ignored {
        let _ = writeln!(io::stderr(), "ilb: {variable}");
    }
    Ok(Exit::Done)
}
