use clap::{ArgMatches, Command};

use super::{Exit, Failure, inputs};
use crate::settings::{self, Settings};

pub(super) fn form() -> Command {
    Command::new("check")
        .about("Check the settings without any connection, and show what holds and where it comes from")
        .args(inputs::flags())
        .after_help("Example: ilb check --config ilb.yaml")
}

pub(super) fn execute(matches: &ArgMatches) -> Result<Exit, Failure> {
    let settings = Settings::load(&inputs::of(matches))?;
    super::output::print(&settings::check(&settings))?;
    Ok(Exit::Done)
}
