//! Exit codes of the process, and the failures that lead to them.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use crate::settings::Problems;

/// Exit code of a command, by its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Done,
    Failed,
    Invalid,
    NotReady,
    Degraded,
}

/// Failure of a command.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The input is invalid: retrying will not help.
    Invalid(anyhow::Error),
    /// The settings are invalid: retrying will not help.
    Settings(Problems),
    /// A failure outside ilb, such as an address in use.
    Failed(anyhow::Error),
    /// The failure has already been reported; only the exit code is left.
    Reported(Exit),
}

/// Exit codes and their meanings, as the help and the man page list them.
pub(crate) const EXIT_CODES: &str = "  \
  0  success; also after SIGTERM or SIGINT
  1  something outside ilb failed, such as an address in use, an ilb that does not answer, or a check of the cluster
  2  invalid settings or invalid command line; retrying will not help
  3  `ilb status`: the queried ilb is not ready
  4  `ilb status`: it is ready, and degraded: clients may be hurt
  134  a bug: ilb panicked and aborted
  130, 143  a second SIGINT or SIGTERM ended ilb at once";

impl Failure {
    /// Reports the failure on stderr, unless that has been done already, and returns the exit code. If stderr has been
    /// closed, the exit code is all that is left to report.
    pub(crate) fn report(self) -> Exit {
        let mut stderr = io::stderr();
        let _ = match &self {
            Self::Invalid(error) | Self::Failed(error) => writeln!(stderr, "ilb: {error:#}"),
            Self::Settings(problems) => write!(stderr, "{problems}"),
            Self::Reported(_) => Ok(()),
        };
        self.exit()
    }

    /// Returns this failure as one that has been reported.
    pub(crate) fn reported(&self) -> Self {
        Self::Reported(self.exit())
    }

    /// Returns the failure as an error, for a command that goes on.
    pub(crate) fn into_error(self) -> anyhow::Error {
        match self {
            Self::Invalid(error) | Self::Failed(error) => error,
            Self::Settings(problems) => anyhow::anyhow!("{problems}"),
            Self::Reported(_) => anyhow::anyhow!("it was reported"),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Invalid(_) | Self::Settings(_) => Exit::Invalid,
            Self::Failed(_) => Exit::Failed,
            Self::Reported(exit) => *exit,
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::Settings(problems)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Invalid => 2,
            Exit::NotReady => 3,
            Exit::Degraded => 4,
        })
    }
}
