//! `ilb status`: shows the state of a running ilb.

use clap::{ArgMatches, Command};

use super::{
    admin_client::AdminClient,
    format::Format,
    output::{print, print_json},
    terminal,
    view::{self, Room},
};
use crate::{
    exit::{Exit, Failure},
    process::runtime::block_on,
};

pub(super) fn command() -> Command {
    Command::new("status")
        .about("Show the state of a running ilb")
        .arg(AdminClient::flag())
        .arg(Format::flag())
        .after_help("Example: kubectl exec deploy/my-lb -c ilb -- ilb status")
        .after_long_help(
            "Exits with 3 if that ilb is not ready, which means that Traefik's configuration is not verified for \
             every pool.\n\nExamples:\n  \
             kubectl exec deploy/my-lb -c ilb -- ilb status\n  \
             ilb status --url http://10.0.0.7:8081 -o json",
        )
}

pub(super) fn execute(matches: &ArgMatches) -> Result<Exit, Failure> {
    let client = AdminClient::from_matches(matches)?;
    let status = block_on(client.status())?;
    match Format::from_matches(matches) {
        Format::Json => print_json(&status)?,
        // The whole status, also where the terminal has fewer lines.
        Format::Table => print(&view::status(&status, Room { height: None, ..terminal::room() }))?,
    }
    Ok(if status.ready { Exit::Done } else { Exit::NotReady })
}
