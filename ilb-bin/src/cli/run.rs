//! `ilb run`: starts the load balancer.

use clap::{Arg, ArgMatches, Command};

use super::inputs;
use crate::{
    exit::{Exit, Failure},
    process::logging::Log,
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
    let log = Log::start(&settings.log)?;
    for variable in &settings.ignored {
        tracing::warn!("{variable}");
    }
    let result = wiring::run(inputs, settings, log.clone());
    if let Err(Failure::Invalid(error) | Failure::Failed(error)) = &result {
        tracing::error!(error = format!("{error:#}"), "Cannot start");
    }
    log.flush();
    result.map(|()| Exit::Done).map_err(|failure| failure.reported())
}
