//! Closes live connections on purpose.

mod destroyer;
mod limits;
mod packets;
mod rate;
mod remote;
mod second_look;
mod server;
pub(crate) mod wire;

use std::{fmt, net::SocketAddr, time::Duration};

use async_trait::async_trait;

pub use crate::closer::{
    destroyer::Destroyer,
    limits::{InvalidLimits, Limits},
    remote::Remote,
    server::CloserServer,
};

/// Closes live connections to backends.
#[cfg_attr(any(test, feature = "test-util"), mockall::automock)]
#[async_trait]
pub trait Closer: Send + Sync + 'static {
    /// Closes one connection, if it is the one of the order and meets its conditions at this moment.
    async fn close(&self, order: &Order) -> Outcome;

    /// Returns its ability to close connections, as it proved on one of its own.
    async fn ability(&self) -> Ability;
}

/// The order to close one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Order {
    /// The remote side: the backend, or the client if only a half is left ([`How::Half`]).
    pub backend: SocketAddr,
    /// Address of this side.
    pub local: SocketAddr,
    /// Number that the kernel gives to no other socket.
    pub cookie: u64,
    /// The way in which it is closed.
    pub how: How,
    /// Conditions that it has to meet.
    pub only_if: Conditions,
}

/// The way in which a connection is closed.
///
/// A [`Destroyer`] does the same for all. The first two are apart for closers that can end one half.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum How {
    /// Gently, as far as the closer can: what is in progress may end.
    Finish,
    /// Whatever is in progress is cut.
    Abort,
    /// A client's connection that the proxy has ended and the client has not (FIN-WAIT-2) is cut: its backend is gone, and it
    /// only waits for a client that ignores the end.
    Half,
}

/// Conditions that a connection has to meet at the moment at which it is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conditions {
    /// The side that the last data has to come from.
    pub answer: AnswerRule,
    /// Time for which neither side may have sent data, in whole milliseconds.
    pub quiet: Duration,
    /// Set if no data may wait in the kernel in either direction.
    pub empty_queues: bool,
}

/// The side that the last data has to come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AnswerRule {
    /// Certainly the backend ([`Answered::Yes`](crate::Answered::Yes)).
    Answered,
    /// Maybe the backend: not certainly this side ([`Answered::No`](crate::Answered::No)).
    MaybeAnswered,
    /// Any.
    Any,
}

/// The outcome of an order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The connection was closed, for both sides.
    Closed,
    /// The connection is not there any more, or is ending by itself.
    Gone,
    /// The connection does not meet the conditions of the order now, and was left as it is. This is no failure.
    NotNow(NotNow),
    /// The closer does not do that, and left it as it is.
    Refused(Refusal),
    /// The closer could not, for this reason. Unless it answered itself, the connection may be closed all the same.
    Failed(String),
}

/// The condition that a connection does not meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotNow {
    /// The last data did not come from the backend, or that is not certain.
    NotAnswered,
    /// Data was sent a moment ago.
    NotQuiet,
    /// Data waits in the kernel.
    NotEmpty,
    /// The closer was interrupted between each look and the closing, so that what it saw may be over.
    Late,
}

/// The reason for which a closer refuses an order, whatever else holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The order has no cookie.
    NoCookie,
    /// The remote address is not in the closer's networks, or is none of another host.
    ForeignAddress,
    /// The remote port is none of the closer's ports.
    ForeignPort,
    /// The local port is one that is listened on: the connection is a client's, or no connection at all.
    Listening,
    /// The connection belongs to another user than the one that listens on an entry port.
    OtherUser,
    /// No process listens on an entry port.
    NoListener,
    /// The order is about the half of a client's connection, and the local port is no entry port.
    NotEntryPort,
    /// The order is about the half of a client's connection, and that is a whole one.
    NotHalf,
    /// Closings follow each other too fast.
    TooFast,
    /// Too many were closed within an hour.
    TooMany,
    /// Another client closes connections.
    SecondClient,
}

/// The ability of a closer, as it proved on a connection of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ability {
    /// The closer can close connections, within these limits.
    Able(Limits),
    /// The closer cannot, for this reason.
    Unable(String),
    /// The closer is in another process that does not answer, for this reason.
    Unreachable(String),
}

impl Conditions {
    /// No conditions.
    pub const NONE: Self = Self { answer: AnswerRule::Any, quiet: Duration::ZERO, empty_queues: false };

    /// Certainly answered, quiet for this time, and with empty queues: closing it cuts no request.
    pub fn answered_and_quiet_for(quiet: Duration) -> Self {
        Self { answer: AnswerRule::Answered, quiet, empty_queues: true }
    }
}

impl NotNow {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::NotAnswered, Self::NotQuiet, Self::NotEmpty, Self::Late];

    /// Returns its name in the protocol and in labels of metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotAnswered => "not-answered",
            Self::NotQuiet => "not-quiet",
            Self::NotEmpty => "not-empty",
            Self::Late => "late",
        }
    }
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::NoCookie,
        Self::ForeignAddress,
        Self::ForeignPort,
        Self::Listening,
        Self::OtherUser,
        Self::NoListener,
        Self::NotEntryPort,
        Self::NotHalf,
        Self::TooFast,
        Self::TooMany,
        Self::SecondClient,
    ];

    /// Returns its name in the protocol and in labels of metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoCookie => "no-cookie",
            Self::ForeignAddress => "foreign-address",
            Self::ForeignPort => "foreign-port",
            Self::Listening => "listening",
            Self::OtherUser => "other-user",
            Self::NoListener => "no-listener",
            Self::NotEntryPort => "not-entry-port",
            Self::NotHalf => "not-half",
            Self::TooFast => "too-fast",
            Self::TooMany => "too-many",
            Self::SecondClient => "second-client",
        }
    }
}

impl fmt::Display for NotNow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAnswered => "the last data is not certainly the backend's",
            Self::NotQuiet => "data was sent a moment ago",
            Self::NotEmpty => "data waits to be read or acknowledged",
            Self::Late => "the closer got too little processor time to close it just after a look",
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoCookie => "the order has no cookie",
            Self::ForeignAddress => "the address is not in --networks, or is not that of another host",
            Self::ForeignPort => "the port of the backend is not one of --ports",
            Self::Listening => "the local port is listened on, so this is a client's connection or a listener",
            Self::OtherUser => "the connection is not one of the user that listens on --entry-ports",
            Self::NoListener => "nobody listens on --entry-ports",
            Self::NotEntryPort => {
                "the half of a client's connection is to be closed, and its port is not one of --entry-ports"
            }
            Self::NotHalf => "the half of a client's connection is to be closed, and neither side has ended it",
            Self::TooFast => "more than --max-rate closings a second",
            Self::TooMany => "more than --max-per-hour closings an hour",
            Self::SecondClient => "another client closes connections",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_reason_has_a_name_of_its_own() {
        let names: BTreeSet<_> =
            NotNow::ALL.map(NotNow::name).into_iter().chain(Refusal::ALL.map(Refusal::name)).collect();
        assert_eq!(names.len(), NotNow::ALL.len() + Refusal::ALL.len());
    }
}
