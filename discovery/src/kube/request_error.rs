//! The error of one request to the API server.

use std::{io, time::Duration};

use http_body_util::LengthLimitError;
use kube::core::Status;

use super::{body_lines::NoLine, version_guard::Older};
use crate::{Cause, Error, errors::Refusal};

/// Error of a request to the API server.
#[derive(Debug)]
pub(super) enum RequestError {
    /// The request could not be sent, or got no response.
    Client(kube::Error),
    /// The response, or an event of a watch, is an error.
    Refused { status: Box<Status>, retry_after: Option<Duration> },
    /// The connection broke in the middle of the response.
    Body(Box<dyn std::error::Error + Send + Sync>),
    /// The watch broke, or one of its events is too long.
    Watch(NoLine),
    /// The response or the next event timed out after this time.
    Silent(Duration),
    /// The response or the event cannot be decoded.
    Decode(serde_json::Error),
    /// The response or the event has no version to continue from.
    NoVersion,
    /// The list is older than one seen before.
    Older(Older),
    /// The namespace has no name.
    UnnamedNamespace,
}

impl RequestError {
    /// Returns whether the watch cannot be resumed from its version, so that only a new list helps.
    pub(super) fn needs_list(&self) -> bool {
        match self {
            Self::Refused { status, .. } => {
                status.code == 410
                    || matches!(&*status.reason, "Expired" | "Gone")
                    || status.message.contains("Too large resource version")
            }
            // A resumed watch would get the same event again.
            Self::NoVersion | Self::Decode(_) | Self::Watch(NoLine::TooLong) => true,
            _ => false,
        }
    }

    /// Returns whether merely the connection of a watch broke: nothing is lost, since the watch is resumed after the last
    /// whole event.
    pub(super) fn is_cut(&self) -> bool {
        match self {
            Self::Watch(NoLine::Broken(error)) => !is_timeout(error),
            Self::Watch(NoLine::MidLine) => true,
            _ => false,
        }
    }

    /// Returns the pause that the API server demands before the next request.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Converts to the public error. `what` names the objects asked for, such as `pods in namespace default`.
    pub(super) fn into_error(self, what: &str) -> Error {
        let (source_name, what) = ("the API server".to_owned(), what.to_owned());
        match self {
            Self::Client(error) | Self::Watch(NoLine::Broken(error)) if has_invalid_certificate(&error) => {
                Error::Certificate { source_name, cause: Cause::new(error) }
            }
            Self::Client(error) | Self::Watch(NoLine::Broken(error)) => {
                Error::Unreachable { source_name, cause: Cause::new(error) }
            }
            Self::Watch(NoLine::End | NoLine::MidLine) => {
                Error::Unreachable { source_name, cause: Cause::new("the watch ended in the middle of an event") }
            }
            Self::Watch(NoLine::TooLong) => Error::Failed { source_name, cause: Cause::new("an event is too long") },
            Self::Body(error) if error.is::<LengthLimitError>() => {
                Error::Failed { source_name, cause: Cause::new(error) }
            }
            Self::Body(error) => Error::Unreachable { source_name, cause: Cause::new(error) },
            Self::UnnamedNamespace => Error::UnnamedNamespace,
            Self::Refused { status, retry_after } => {
                let refusal = Refusal::new(status.code, status.message).with_retry_after(retry_after);
                let cause = Cause::new(refusal);
                match status.code {
                    401 => Error::Unauthorized { source_name, cause },
                    403 => Error::Forbidden { what, cause },
                    _ => Error::Failed { source_name, cause },
                }
            }
            Self::Silent(limit) => Error::Silent { source_name, what, limit },
            Self::Decode(error) => Error::Failed { source_name, cause: Cause::new(error) },
            Self::NoVersion => {
                Error::Failed { source_name, cause: Cause::new("the answer is without resourceVersion") }
            }
            Self::Older(Older { offered, seen }) => Error::WentBack { source_name, what, offered, seen },
        }
    }
}

/// Returns whether the certificate of the API server was refused.
fn has_invalid_certificate(error: &(dyn std::error::Error + 'static)) -> bool {
    if let Some(rustls::Error::InvalidCertificate(_)) = error.downcast_ref() {
        return true;
    }
    // An I/O error that wraps another one says that the source of the other one is its source.
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    let below = wrapped.map(|error| error as &(dyn std::error::Error + 'static)).or_else(|| error.source());
    below.is_some_and(has_invalid_certificate)
}

/// Returns whether the operating system waited long before it gave the connection up. The view has then been stale for as
/// long.
fn is_timeout(error: &kube::Error) -> bool {
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
