//! `ilb run`: starts the load balancer.

use clap::{Arg, ArgMatches, Command};

use super::inputs;
use crate::{
    exit::{Exit, Failure},
    process::logging,
    settings::Settings,
    wiring,
};

pub(super) fn command() -> Command {
    Command::new("run")
        .about("Discover the backends and keep Traefik's configuration up to date (the default command)")
        .args(flags())
        .after_help("Example: POD_LABELS=app=my-app BACKEND_PORT=5432 ilb run")
}

/// Describes the flags of `run`, which are also accepted without a command.
pub(super) fn flags() -> Vec<Arg> {
    inputs::flags()
}

pub(super) fn execute(matches: &ArgMatches) -> Result<Exit, Failure> {
    let inputs = inputs::from_matches(matches);
    let settings = Settings::load(&inputs)?;
    let level = logging::start(&settings.log);
    match wiring::run(inputs, settings, level) {
        Ok(()) => Ok(Exit::Done),
        Err(failure) => {
            if let Failure::Invalid(error) | Failure::Failed(error) = &failure {
                tracing::error!(error = format!("{error:#}"), "Cannot start");
            }
            Err(failure.reported())
        }
    }
}
