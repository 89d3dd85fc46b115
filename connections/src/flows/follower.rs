//! Follows the ends of connections through the proxy, as the kernel announces them.

use std::{
    fmt,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use tokio::{
    io::unix::AsyncFd,
    time::{Instant as Clock, sleep, sleep_until},
};

use super::{
    Flows,
    ends::Ends,
    flow::{Age, ClosedFlow},
    pool::{FlowPool, Pools},
    table::Known,
};
use crate::{
    counters::OpenedCounter,
    descriptor::watched,
    error::{Chain, Error, ReadError},
    netlink::{Announcements, Received},
    socket::{Ended, Part},
    table::prove_announcements,
};

/// Follows the ends of connections through the proxy.
///
/// The kernel announces each closed socket, with its counts, to everybody in its network namespace. What it does not announce
/// is when a connection was opened, and which client's side belongs to which backend's. So the connections that are open are
/// [read](Flows::read), too: once a second while there are new ones, and less often where that costs more than 0.5 % of a core.
pub struct FlowEnds {
    flows: Flows,
    pools: Pools,
    announcements: Announcements,
    descriptor: AsyncFd<OwnedFd>,
    opened: OpenedCounter,
    /// Counter of opened connections at the last read.
    opened_at_read: Option<u64>,
    ends: Ends,
    next_read: Instant,
    /// Set if there is something to receive.
    is_ready: bool,
    /// Connections that ended and whose backend is not known.
    unknown: u64,
}

/// Connections that have ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndedFlows {
    /// The connections, in the order in which they ended.
    pub closed: Vec<ClosedFlow>,
    /// Number of other ones of which nothing is known, not even the backend: they were opened a moment before, and the proxy
    /// has reset them.
    pub unknown: u64,
    /// Set if the kernel had to drop announcements: an unknown number of connections is missing.
    pub has_lost_some: bool,
}

/// Minimum time between two reads of the connections that are open.
const READ_PERIOD: Duration = Duration::from_secs(1);

/// Time between two reads, in multiples of the time that one takes.
const PERIOD_PER_COST: u32 = 200;

/// Number of announcements received at a time.
const MAX_RECEIVED_AT_ONCE: usize = 256;

/// Pause between two times of receiving announcements: many are cheaper together.
const PAUSE: Duration = Duration::from_millis(10);

impl FlowEnds {
    /// Begins to follow ends, after a proof that the kernel announces them. To be called in a Tokio runtime with I/O and time.
    ///
    /// # Errors
    ///
    /// [`Error::Lost`] if nothing is announced: the kernel is too old, or the sandbox keeps it away.
    pub async fn start(flows: Flows) -> Result<Self, Error> {
        let proof = tokio::task::spawn_blocking(|| prove_announcements(Announcements::BUFFER_BYTES));
        let (announcements, opened) = proof.await.map_err(|_| Error::Cancelled)??;
        let descriptor = announcements.descriptor().and_then(watched);
        let descriptor = descriptor.map_err(ReadError::io("waiting for a netlink socket"))?;
        Ok(Self {
            flows,
            pools: Pools::default(),
            announcements,
            descriptor,
            opened,
            opened_at_read: None,
            ends: Ends::default(),
            next_read: Instant::now(),
            is_ready: false,
            unknown: 0,
        })
    }

    /// Sets the pools whose connections matter. Backends that have left a pool belong to them for as long as they may have
    /// connections.
    pub fn set_pools(&mut self, pools: &[FlowPool]) {
        self.pools = Pools::new(pools);
        let (remote, local) = (self.pools.backend_ports(), self.pools.entry_ports());
        if let Err(error) = self.announcements.set_ports_of_both_sides(&remote, &local) {
            tracing::debug!(%error, "cannot filter announcements in the kernel");
        }
        self.opened_at_read = None;
    }

    /// Waits for connections to end, and returns them, or nothing after a while. The client of each is looked for until it has
    /// been closed for two seconds. Reads the open connections on the way, which blocks for as long as the kernel takes.
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> EndedFlows {
        let until = self.ends.due_at().map_or(self.next_read, |due| due.min(self.next_read));
        tokio::select! {
            ready = self.descriptor.readable(), if !self.is_ready => {
                self.is_ready = true;
                if let Ok(mut ready) = ready {
                    ready.clear_ready();
                }
            }
            () = sleep_until(Clock::from_std(until)), if !self.is_ready => {}
            else => {}
        }
        if self.is_ready {
            sleep(PAUSE).await;
        }
        self.is_ready = false;
        let mut ended = EndedFlows::default();
        self.receive(&mut ended);
        self.read_if_due();
        for flow in self.ends.due(Instant::now()) {
            self.close(&flow.backend, flow.client.as_ref(), &mut ended);
        }
        ended.unknown = std::mem::take(&mut self.unknown);
        ended
    }

    /// Receives what was announced.
    fn receive(&mut self, ended: &mut EndedFlows) {
        loop {
            let mut received = Vec::new();
            let result = self.announcements.receive(MAX_RECEIVED_AT_ONCE, &mut |announcement| {
                received.extend(announcement.ended());
            });
            for side in received {
                self.side_ended(side, ended);
            }
            match result {
                Ok(Received::All) => return,
                Ok(Received::Some) => {}
                Err(error) => {
                    ended.has_lost_some = true;
                    self.ends.lost_some();
                    if !matches!(error, ReadError::Overrun) {
                        tracing::debug!(error = %Chain(&error), "announcements of closed connections were lost");
                        return;
                    }
                }
            }
        }
    }

    fn side_ended(&mut self, side: Ended, ended: &mut EndedFlows) {
        if self.flows.0.own_sockets.contains_cookie(side.identity) {
            return;
        }
        if let Some(group) = self.pools.group_of_entry(side.pair.local.port()) {
            if !self.flows.table().is_paired(side.identity) {
                self.ends.client(side, group);
            }
            return;
        }
        let is_forgotten = side.pair.remote.port() == 0;
        let (known, has_other_users) = {
            let table = self.flows.table();
            (table.known(side.identity), table.has_other_users())
        };
        if known.is_some_and(|known| known.client.is_some()) || (known.is_some() && is_forgotten) {
            return self.close(&side, None, ended);
        }
        match self.pools.group_of_backend(side.pair.remote) {
            // It may be of a mesh, which opens a second connection for each.
            Some(_) if known.is_none() && has_other_users => self.unknown += 1,
            Some(group) if self.pools.can_pair(group) => self.ends.backend(side, group),
            Some(_) => self.close(&side, None, ended),
            // The address of this side may be one of another process's connection to somewhere else.
            None if is_forgotten => self.unknown += 1,
            None => {}
        }
    }

    /// Adds a connection that has ended.
    fn close(&mut self, side: &Ended, client: Option<&Ended>, ended: &mut EndedFlows) {
        let (known, not_before) = {
            let mut table = self.flows.table();
            (table.take(side.identity), table.unknown_not_before())
        };
        let opened = known.map(|known| known.opened);
        let at_least =
            opened.map_or(Duration::ZERO, |opened| side.at.saturating_duration_since(opened.by)).max(side.min_age);
        let not_before = opened.map_or(not_before, |opened| opened.not_before);
        let at_most = not_before.map(|moment| side.at.saturating_duration_since(moment).max(at_least));
        let known_client = known.and_then(|known| known.client);
        let entry_port = client.map(|client| client.pair.local.port()).or(known_client.map(|client| client.entry_port));
        let client_address = client.map(|client| client.pair.remote).or(known_client.map(|client| client.address));
        let is_exact = side.pair.remote.port() != 0;
        let (to_backend, from_backend) = counts(side, client, known.as_ref());
        let addresses = known.map_or(side.pair, |known| known.addresses);
        ended.closed.push(ClosedFlow {
            local: addresses.local,
            backend: addresses.remote,
            client: client_address,
            pool: self.pools.pool(addresses.remote, entry_port),
            age: Age { at_least, at_most },
            to_backend,
            from_backend,
            is_exact,
            ended_at: side.at,
        });
    }

    fn read_if_due(&mut self) {
        let begun = Instant::now();
        if begun < self.next_read {
            return;
        }
        let opened = self.opened.read().ok();
        let is_unchanged = opened.is_some() && opened == self.opened_at_read && self.flows.table().knows_all();
        self.opened_at_read = opened;
        if !is_unchanged && let Err(error) = self.flows.read_now(&self.pools) {
            tracing::debug!(error = %Chain(&error), "cannot read the connections that are open");
            self.opened_at_read = None;
        }
        self.next_read = Instant::now() + READ_PERIOD.max(begun.elapsed() * PERIOD_PER_COST);
    }
}

/// Returns the bytes of data to and from a backend.
fn counts(side: &Ended, client: Option<&Ended>, known: Option<&Known>) -> (u64, u64) {
    if side.pair.remote.port() == 0 {
        return known.map(|known| (known.to_backend, known.from_backend)).unwrap_or_default();
    }
    // The client got what the backend has sent. Without it: after its own end was acknowledged, a socket is destroyed once it
    // has received the end of the other side, which counts as a byte; else it was reset.
    let has_received_end = side.delivered.has_ended(Part::Dialled);
    let without_client = side.received.saturating_sub(u64::from(has_received_end));
    (side.delivered.sent(Part::Dialled), client.and_then(|client| client.delivered.sent).unwrap_or(without_client))
}

impl fmt::Debug for FlowEnds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlowEnds").finish_non_exhaustive()
    }
}
