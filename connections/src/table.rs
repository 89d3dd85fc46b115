//! The kernel's socket table, read in the best way that is proved to work.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::{
    counters::OpenedCounter,
    error::{Chain, Error, ReadError},
    method::Method,
    netlink::{Announcements, Netlink, Received},
    own_connection::OwnConnection,
    procfs,
    socket::{Pair, Query, Socket, State},
};

/// The socket table of this network namespace.
pub(crate) enum Table {
    Netlink(Netlink),
    Procfs,
}

impl Table {
    /// Returns the better table of those that show a connection of this process.
    pub(crate) fn prove() -> Result<Self, Error> {
        let netlink = match Netlink::open().map(Self::Netlink).and_then(Self::proved) {
            Ok(table) => return Ok(table),
            Err(error) => error,
        };
        match Self::Procfs.proved() {
            Ok(table) => {
                tracing::warn!(
                    netlink = %Chain(&netlink),
                    "connections are counted from /proc/net/tcp, which is slower"
                );
                Ok(table)
            }
            Err(procfs) => Err(Error::Unavailable { netlink, procfs }),
        }
    }

    /// Returns this table if it shows a connection that certainly exists.
    pub(crate) fn proved(mut self) -> Result<Self, ReadError> {
        let own = OwnConnection::open().map_err(ReadError::io("opening a connection to itself as a proof"))?;
        let mut seen = false;
        let query = Query { families: [own.to().ip().into()].into(), ports: [own.to().port()].into() };
        self.visit(&query, &mut |socket| {
            seen |= socket.state == State::Established && (socket.local, socket.remote) == (own.from(), own.to());
        })?;
        if seen { Ok(self) } else { Err(ReadError::ProofMissing(own.to())) }
    }

    /// Visits the listening sockets and connections of `query`, and possibly others.
    pub(crate) fn visit(&mut self, query: &Query, visit: &mut dyn FnMut(&Socket)) -> Result<(), ReadError> {
        match self {
            Self::Netlink(netlink) => {
                let result = netlink.visit(query, visit);
                renew_after_error(netlink, result)
            }
            Self::Procfs => procfs::visit(query, visit),
        }
    }

    /// Looks up the sockets with these addresses, in whatever state they are. Without netlink, none is found.
    pub(crate) fn look_up(&mut self, pairs: &[Pair]) -> Result<Vec<Option<Socket>>, ReadError> {
        let mut found = Vec::with_capacity(pairs.len());
        match self {
            Self::Netlink(netlink) => {
                let result = netlink.look_up(pairs, &mut found);
                renew_after_error(netlink, result)?;
            }
            Self::Procfs => found.resize(pairs.len(), None),
        }
        Ok(found)
    }

    pub(crate) fn method(&self) -> Method {
        match self {
            Self::Netlink(_) => Method::Netlink,
            Self::Procfs => Method::Procfs,
        }
    }
}

/// Opens another socket after an error: the rest of a failed response must not be taken for the next one.
fn renew_after_error(netlink: &mut Netlink, result: Result<(), ReadError>) -> Result<(), ReadError> {
    if result.is_err()
        && let Ok(fresh) = Netlink::open()
    {
        *netlink = fresh;
    }
    result
}

/// Returns what announces closed connections and counts opened ones, if both do for a connection of this process.
///
/// `buffer_bytes` is the size of the kernel's buffer for announcements.
pub(crate) fn prove_announcements(buffer_bytes: usize) -> Result<(Announcements, OpenedCounter), ReadError> {
    const TIME_LIMIT: Duration = Duration::from_secs(1);
    const MAX_OVERRUN_TIME: Duration = Duration::from_secs(10);
    let (mut announcements, mut counter) = (Announcements::open(buffer_bytes)?, OpenedCounter::open()?);
    let started = Instant::now();
    let (mut proof, mut is_overrun) = (Proof::open(&mut counter)?, false);
    while !proof.is_announced {
        let is_late = !is_overrun && proof.closed_at.elapsed() > TIME_LIMIT;
        if is_late || started.elapsed() > MAX_OVERRUN_TIME {
            return Err(ReadError::AnnouncementMissing(proof.remote));
        }
        // The kernel announces it a moment later.
        std::thread::sleep(Duration::from_millis(1));
        let own = proof.identity;
        // Others close connections, too.
        match announcements.receive(256, &mut |announcement| proof.is_announced |= announcement.identity == own) {
            // The one that is waited for may be among those that were dropped. The kernel says so once, and goes on dropping
            // until its buffer is empty.
            Ok(Received::All) if is_overrun => (proof, is_overrun) = (Proof::open(&mut counter)?, false),
            Ok(_) => {}
            Err(ReadError::Overrun) => is_overrun = true,
            Err(error) => return Err(error),
        }
    }
    Ok((announcements, counter))
}

/// A connection of this process that was opened and closed, to see it counted and announced.
struct Proof {
    remote: SocketAddr,
    identity: u64,
    closed_at: Instant,
    is_announced: bool,
}

impl Proof {
    fn open(counter: &mut OpenedCounter) -> Result<Self, ReadError> {
        let before = counter.read()?;
        let own = OwnConnection::open().map_err(ReadError::io("opening a connection to itself as a proof"))?;
        if counter.read()? <= before {
            return Err(ReadError::UncountedOpening);
        }
        let (remote, mut found) = (own.to(), Vec::new());
        Netlink::open()?.look_up(&[Pair { local: own.from(), remote }], &mut found)?;
        let Some(Some(socket)) = found.pop() else { return Err(ReadError::ProofMissing(remote)) };
        drop(own);
        Ok(Self { remote, identity: socket.identity, closed_at: Instant::now(), is_announced: false })
    }
}
