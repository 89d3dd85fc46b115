use clap::{Arg, ArgMatches, Command};

use super::inputs;
use crate::{
    exit::{Exit, Failure},
    process::logging,
    settings::Settings,
};

pub(super) fn form() -> Command {
    Command::new("run")
        .about("Follow the backends and keep Traefik true (also without a command)")
        .args(flags())
        .after_help("Example: POD_LABELS=app=my-app BACKEND_PORT=5432 ilb run")
}

/// The flags of `run`, which are accepted without a command as well.
pub(super) fn flags() -> Vec<Arg> {
    inputs::flags()
}

pub(super) fn execute(matches: &ArgMatches) -> Result<Exit, Failure> {
    let inputs = inputs::of(matches);
    let settings = Settings::load(&inputs)?;
    let level = logging::start(&settings.log);
    match crate::wiring::run(inputs, settings, level) {
        Ok(()) => Ok(Exit::Done),
        Err(failure) => {
            if let Failure::Wrong(error) | Failure::Failed(error) = &failure {
                tracing::error!(error = format!("{error:#}"), "Cannot start");
            }
            Err(failure.told())
        }
    }
}
