use clap::{ArgMatches, Command};

use super::{
    format::Format,
    instance::Instance,
    output::{print, print_json},
    terminal, view,
    view::Room,
};
use crate::exit::{Exit, Failure};
use crate::process::runtime::block_on;

pub(super) fn form() -> Command {
    Command::new("status")
        .about("Show what a running ilb knows and does")
        .arg(Instance::flag())
        .arg(Format::flag())
        .after_help("Example: kubectl exec deploy/my-lb -c ilb -- ilb status")
        .after_long_help(
            "The exit code is 3 if that ilb is not ready: not every pool is proved to be in force.\n\nExamples:\n  \
             kubectl exec deploy/my-lb -c ilb -- ilb status\n  \
             ilb status --url http://10.0.0.7:8081 -o json",
        )
}

pub(super) fn execute(matches: &ArgMatches) -> Result<Exit, Failure> {
    let instance = Instance::of(matches)?;
    let status = block_on(instance.status())?;
    match Format::of(matches) {
        Format::Json => print_json(&status)?,
        // All of it, however high the terminal is.
        Format::Table => print(&view::status(&status, Room { height: None, ..terminal::room() }))?,
    }
    Ok(if status.ready { Exit::Done } else { Exit::NotReady })
}
