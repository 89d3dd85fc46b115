//! The operating system, as far as counting needs it.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    accounts::AccountId,
    announced::{Announced, AnnouncementQueue},
    counters::{self, OpenedCounter},
    error::ReadError,
    port_range::PortRange,
    processor_time::thread_processor_time,
    socket::{Pair, Query, Socket},
    table::Table,
};

/// The operating system, as far as counting needs it. The sockets are those of one network namespace.
pub(crate) trait System: Send {
    /// Visits the listening sockets, then the connections of `query`, and possibly others.
    fn dump(&mut self, query: &Query, visit: &mut dyn FnMut(&Socket)) -> Result<(), ReadError>;

    /// Looks up the sockets with these addresses, in whatever state they are, and returns one result for each.
    fn look_up(&mut self, pairs: &[Pair]) -> Result<Vec<Option<Socket>>, ReadError>;

    /// Returns the destroyed sockets that have been announced since the last call, except probes. From now on, `user` is
    /// woken by the next one.
    fn take_announced(&mut self, user: AccountId) -> Announced;

    /// Sets the remote ports of the sockets whose destruction matters.
    fn set_ports(&mut self, ports: &BTreeSet<u16>);

    /// Returns how many connections have been opened so far, by all processes.
    fn opened(&mut self) -> Result<u64, ReadError>;

    /// Returns the range of local ports.
    fn local_ports(&mut self) -> PortRange;

    fn now(&self) -> Instant;

    /// Returns the processor time that this thread has used.
    fn processor_time(&self) -> Duration;
}

/// The system on which this process runs.
pub(crate) struct Host {
    table: Table,
    /// Announcements, and the counter of opened connections, where both can be had.
    following: Option<(Arc<AnnouncementQueue>, OpenedCounter)>,
    ports: BTreeSet<u16>,
}

impl Host {
    pub(crate) fn new(table: Table, following: Option<(Arc<AnnouncementQueue>, OpenedCounter)>) -> Self {
        Self { table, following, ports: BTreeSet::new() }
    }
}

impl System for Host {
    fn dump(&mut self, query: &Query, visit: &mut dyn FnMut(&Socket)) -> Result<(), ReadError> {
        self.table.visit(query, visit)
    }

    fn look_up(&mut self, pairs: &[Pair]) -> Result<Vec<Option<Socket>>, ReadError> {
        self.table.look_up(pairs)
    }

    fn take_announced(&mut self, user: AccountId) -> Announced {
        self.following.as_ref().map(|(queue, _)| queue.take(user)).unwrap_or_default()
    }

    fn set_ports(&mut self, ports: &BTreeSet<u16>) {
        if self.ports != *ports
            && let Some((queue, _)) = &self.following
        {
            queue.set_ports(ports);
            self.ports.clone_from(ports);
        }
    }

    fn opened(&mut self) -> Result<u64, ReadError> {
        self.following.as_mut().map_or(Ok(0), |(_, counter)| counter.read())
    }

    fn local_ports(&mut self) -> PortRange {
        counters::local_ports()
    }

    fn now(&self) -> Instant {
        Instant::now()
    }

    fn processor_time(&self) -> Duration {
        thread_processor_time()
    }
}
