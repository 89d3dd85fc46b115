use std::{io, time::Duration};

use http_body_util::LengthLimitError;
use kube::core::Status;

use super::{body_lines::NoLine, version_guard::Older};
use crate::{Cause, Error};

/// What went wrong with a request.
#[derive(Debug)]
pub(super) enum RequestError {
    /// No answer could be had.
    Client(kube::Error),
    /// The answer, or an event of a watch, says no.
    Refused { status: Box<Status>, retry_after: Option<Duration> },
    /// The answer broke off.
    Body(Box<dyn std::error::Error + Send + Sync>),
    /// The watch broke off, or brought an event that is too long.
    Watch(NoLine),
    /// Nothing came for so long.
    Silent(Duration),
    /// What came is not what was asked for.
    Decode(serde_json::Error),
    /// What came has no version to go on from.
    NoVersion,
    /// What came is older than what came before.
    Older(Older),
}

impl RequestError {
    /// Whether there is no going on from the version that was asked for: only a new list helps.
    pub(super) fn needs_list(&self) -> bool {
        match self {
            Self::Refused { status, .. } => {
                status.code == 410
                    || matches!(&*status.reason, "Expired" | "Gone")
                    || status.message.contains("Too large resource version")
            }
            // Resumed, the watch would bring the same event again.
            Self::NoVersion | Self::Decode(_) | Self::Watch(NoLine::TooLong) => true,
            _ => false,
        }
    }

    /// Whether a watch merely ended in a rude way: nothing was lost, since it is resumed after the last whole event.
    pub(super) fn is_cut(&self) -> bool {
        match self {
            Self::Watch(NoLine::Broken(error)) => !is_given_up(error),
            Self::Watch(NoLine::MidLine) => true,
            _ => false,
        }
    }

    /// How long the API server asks to be left alone.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// As the caller should see it. `what` is what was asked for, such as `pods in namespace default`.
    pub(super) fn into_error(self, what: &str) -> Error {
        let (source_name, what) = ("the API server".to_owned(), what.to_owned());
        match self {
            Self::Client(error) | Self::Watch(NoLine::Broken(error)) => {
                Error::Unreachable { source_name, cause: Cause::new(error) }
            }
            Self::Watch(NoLine::End | NoLine::MidLine) => {
                Error::Unreachable { source_name, cause: Cause::new("a watch ended in the middle of an event") }
            }
            Self::Watch(NoLine::TooLong) => Error::Failed { source_name, cause: Cause::new("an event without end") },
            Self::Body(error) if error.is::<LengthLimitError>() => {
                Error::Failed { source_name, cause: Cause::new(error) }
            }
            Self::Body(error) => Error::Unreachable { source_name, cause: Cause::new(error) },
            Self::Refused { status, .. } => {
                let cause = Cause::new(Refusal { code: status.code, message: status.message });
                match status.code {
                    401 => Error::Unauthorized { source_name, cause },
                    403 => Error::Forbidden { what, cause },
                    _ => Error::Failed { source_name, cause },
                }
            }
            Self::Silent(limit) => Error::Silent { source_name, what, limit },
            Self::Decode(error) => Error::Failed { source_name, cause: Cause::new(error) },
            Self::NoVersion => Error::Failed { source_name, cause: Cause::new("an answer without resourceVersion") },
            Self::Older(Older { offered, seen }) => Error::WentBack { source_name, what, offered, seen },
        }
    }
}

/// Whether the system got no answer for long before it gave the connection up: then the view has been stale for long.
fn is_given_up(error: &kube::Error) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if matches!(
            kind,
            Some(io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable)
        ) {
            return true;
        }
        next = error.source();
    }
    false
}

/// The API server's word, without the decoration that kube's error has.
#[derive(Debug, thiserror::Error)]
#[error("{message} (HTTP {code})")]
struct Refusal {
    code: u16,
    message: String,
}
