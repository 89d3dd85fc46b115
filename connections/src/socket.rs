//! The sockets of the kernel's table, as all ways of reading it return them.

use std::{
    cmp::Ordering,
    collections::BTreeSet,
    net::{IpAddr, SocketAddr, SocketAddrV4},
    time::{Duration, Instant},
};

use crate::{connection::Answered, sample::EndedBy};

/// A TCP socket of the kernel's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Socket {
    /// Distinguishes this socket from all others while it lives: its cookie if known, else derived from its inode.
    /// Cookies are never given to another socket.
    pub(crate) identity: u64,
    /// Family of the socket. One of the IPv6 family may have IPv4 addresses.
    pub(crate) family: Family,
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    pub(crate) state: State,
    /// Zero if no process has the socket open.
    pub(crate) inode: u32,
    /// Id of the user that owns the socket.
    pub(crate) user: u32,
    pub(crate) traffic: Traffic,
    /// `None` where the kernel does not report it.
    pub(crate) activity: Option<Activity>,
}

/// A TCP state that matters for counting; sockets in other states are skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Established,
    /// CLOSE-WAIT or LAST-ACK: the remote side has ended its half, and did so first.
    EndedByRemote,
    /// FIN-WAIT, CLOSING or TIME-WAIT: this side has ended its half, and did so first.
    EndedHere,
    /// SYN-SENT: the remote side has not answered yet.
    Opening,
    Listening,
}

/// Traffic of a socket; zero and `None` where the kernel does not report it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// Bytes of data received and acknowledged.
    pub(crate) bytes: u64,
    /// Bytes of data received, which are part of `bytes`.
    pub(crate) received: u64,
    /// Segments sent again.
    pub(crate) retransmits: u32,
    /// Smoothed round-trip time.
    pub(crate) rtt: Option<Duration>,
}

/// The state of the exchange on a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Activity {
    /// Set if this side has not ended its half: SYN-SENT, ESTABLISHED and CLOSE-WAIT.
    pub(crate) can_send: bool,
    /// Set if this side has ended its half, which the remote side has acknowledged, and the remote side has not: FIN-WAIT-2.
    pub(crate) is_half: bool,
    /// Time since data was sent, or since the connection was established; in whole milliseconds.
    pub(crate) sent_ago: Duration,
    /// Time since data was received, or since the connection was established; in whole milliseconds.
    pub(crate) received_ago: Duration,
    /// Time since the remote side acknowledged anything; in whole milliseconds.
    pub(crate) acknowledged_ago: Duration,
    /// Bytes received that the process has not read; a FIN counts as one.
    pub(crate) unread: u32,
    /// Bytes written by the process that the remote side has not acknowledged.
    pub(crate) unacknowledged: u32,
    pub(crate) delivered: Delivered,
}

/// The bytes that the remote side of a connection has acknowledged, as the kernel counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Delivered {
    /// Number of bytes, with the FIN as one, and on the side that dialled with the SYN as one.
    pub(crate) acknowledged: u64,
    /// Bytes of data that were sent, each counted once; `None` where the kernel does not report it.
    pub(crate) sent: Option<u64>,
}

/// The part of a side in opening a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The side dialled, and its SYN counts among the bytes acknowledged.
    Dialled,
    Accepted,
}

/// A socket that the kernel has destroyed: its process has closed it, and no more data is in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Destroyed {
    pub(crate) identity: u64,
    pub(crate) family: Family,
    pub(crate) local: SocketAddr,
    /// Its port is zero if the kernel has forgotten it: after some refused attempts, and if this side reset the
    /// connection.
    pub(crate) remote: SocketAddr,
    /// Moment at which its end was noticed.
    pub(crate) at: Instant,
    /// Lower bound of the time that it was established.
    pub(crate) age: Duration,
    /// Bytes of data received.
    pub(crate) received: u64,
    /// Bytes of data received and acknowledged.
    pub(crate) bytes: u64,
    pub(crate) by: EndedBy,
}

/// A side of a connection that has ended, as the kernel announces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) identity: u64,
    /// The remote port is zero if the kernel has forgotten it, and all counts with it: this side has reset the connection.
    pub(crate) pair: Pair,
    /// Moment at which its end was noticed.
    pub(crate) at: Instant,
    /// Lower bound of the time that it was established.
    pub(crate) min_age: Duration,
    /// Bytes received, with the FIN as one.
    pub(crate) received: u64,
    pub(crate) delivered: Delivered,
    /// Time since data was sent, or since the connection was established.
    pub(crate) sent_ago: Duration,
    /// Time since data was received, or since the connection was established.
    pub(crate) received_ago: Duration,
}

/// Both addresses of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Pair {
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
}

/// Selects the part of the table to read.
///
/// It only saves work: a reader may return sockets outside of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Query {
    /// Families of connections. Listening sockets are selected whatever their family: one of the IPv6 family may
    /// listen for IPv4 as well.
    pub(crate) families: BTreeSet<Family>,
    /// Remote ports of connections. Listening sockets are selected whatever their port.
    pub(crate) ports: BTreeSet<u16>,
}

/// The address family of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Socket {
    /// Returns `true` if a process uses the connection. Without one, the kernel only ends it properly.
    pub(crate) fn is_held(&self) -> bool {
        match self.state {
            State::Established | State::Opening => true,
            State::EndedByRemote | State::EndedHere => self.inode != 0,
            State::Listening => false,
        }
    }
}

impl Activity {
    /// Returns whether the remote side has sent data since this side did. The kernel notes both moments in ticks of 1 to
    /// 4 ms, so equal ones do not tell.
    pub(crate) fn answered(&self) -> Answered {
        match self.received_ago.cmp(&self.sent_ago) {
            Ordering::Less => Answered::Yes,
            Ordering::Equal => Answered::Unknown,
            Ordering::Greater => Answered::No,
        }
    }

    /// Returns the time since data was sent or received.
    pub(crate) fn quiet(&self) -> Duration {
        self.sent_ago.min(self.received_ago)
    }

    /// Returns `true` if no data is in the kernel's queues of either direction.
    pub(crate) fn queues_are_empty(&self) -> bool {
        self.unread == 0 && self.unacknowledged == 0
    }
}

impl Delivered {
    /// Returns the bytes of data that were acknowledged. Where the kernel does not report how much was sent, an
    /// acknowledged FIN counts as one.
    pub(crate) fn data(&self, part: Part) -> u64 {
        let acknowledged = self.without_syn(part);
        self.sent.map_or(acknowledged, |sent| acknowledged.min(sent))
    }

    /// Returns the bytes of data that were sent, also if they were not acknowledged; where the kernel does not report them,
    /// those that were.
    pub(crate) fn sent(&self, part: Part) -> u64 {
        self.sent.unwrap_or_else(|| self.data(part))
    }

    /// Returns `true` if everything that was sent has been acknowledged.
    pub(crate) fn is_complete(&self, part: Part) -> bool {
        self.sent.is_some_and(|sent| self.without_syn(part) >= sent)
    }

    /// Returns `true` if the end of this side has been acknowledged after all of its data.
    pub(crate) fn has_ended(&self, part: Part) -> bool {
        self.sent.is_some_and(|sent| self.without_syn(part) > sent)
    }

    fn without_syn(&self, part: Part) -> u64 {
        self.acknowledged.saturating_sub(u64::from(part == Part::Dialled))
    }
}

impl Family {
    pub(crate) const ALL: [Self; 2] = [Self::V4, Self::V6];
}

impl From<IpAddr> for Family {
    fn from(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

/// Returns the IPv4 form of the address of an IPv6 socket that talks to an IPv4 host, and any other address without
/// its zone.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(ip) => SocketAddrV4::new(ip, v6.port()).into(),
            // The kernel does not report the zone, so link-local addresses are compared without it.
            None => SocketAddr::new((*v6.ip()).into(), v6.port()),
        },
        SocketAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::response_came_last(300, 200, Answered::Yes, 200)]
    #[case::request_went_last(200, 300, Answered::No, 200)]
    #[case::in_one_tick(200, 200, Answered::Unknown, 200)]
    fn only_a_strictly_later_response_is_an_answer(
        #[case] sent_ago: u64,
        #[case] received_ago: u64,
        #[case] answered: Answered,
        #[case] quiet: u64,
    ) {
        let millis = Duration::from_millis;
        let activity =
            Activity { sent_ago: millis(sent_ago), received_ago: millis(received_ago), ..Activity::default() };
        assert_eq!((activity.answered(), activity.quiet()), (answered, millis(quiet)));
    }
}
