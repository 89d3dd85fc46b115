use std::process::ExitCode;

use crate::settings::Problems;

/// How a command ended that could do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Done,
    Failed,
    Wrong,
    /// The answer is there, and it is no.
    NotReady,
}

/// Why a command could not do its work.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What it was given cannot work: trying again will not help.
    Wrong(anyhow::Error),
    /// The same, of the settings.
    Settings(Problems),
    /// Something outside failed.
    Failed(anyhow::Error),
    /// It failed, and has said why.
    Told(Exit),
}

/// What the help and the man page say of the exit codes.
pub(crate) const EXIT_CODES: &str = "  \
  0  done; also after SIGTERM or SIGINT
  1  something outside failed, such as an address that is in use or an ilb that does not answer
  2  wrong settings or a wrong command line: the same again will not help
  3  `ilb status`: that ilb is not ready
  134  a bug: ilb panicked, which ends it at once
  130, 143  a second SIGINT or SIGTERM ended it at once";

impl Failure {
    /// Says what went wrong, on stderr.
    pub(crate) fn tell(self) -> Exit {
        match &self {
            Self::Wrong(error) | Self::Failed(error) => eprintln!("ilb: {error:#}"),
            Self::Settings(problems) => eprint!("{problems}"),
            Self::Told(_) => {}
        }
        self.exit()
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Wrong(_) | Self::Settings(_) => Exit::Wrong,
            Self::Failed(_) => Exit::Failed,
            Self::Told(exit) => *exit,
        }
    }

    /// The same failure, once it is in the log.
    pub(crate) fn told(&self) -> Self {
        Self::Told(self.exit())
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
            Exit::Wrong => 2,
            Exit::NotReady => 3,
        })
    }
}
