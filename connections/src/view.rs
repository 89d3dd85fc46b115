//! The table of the system, and what is known of it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{error::ReadError, ledger::Ledger, own_sockets::OwnSockets, process::socket_inodes, system::System};

/// The system, and what is known of its connections.
pub(crate) struct View<S> {
    pub(crate) system: S,
    pub(crate) ledger: Ledger,
    pub(crate) own_sockets: Arc<OwnSockets>,
}

impl<S: System> View<S> {
    /// Reads the whole table, and ends the connections that it does not show.
    pub(crate) fn dump(&mut self, process_id: Option<u32>) -> Result<(), ReadError> {
        self.read_table(process_id)?;
        let now = self.system.now();
        for (identity, _) in self.ledger.missing() {
            self.ledger.end_missing(identity, None, now);
        }
        self.ledger.complete_dump(now);
        Ok(())
    }

    /// Reads the whole table.
    pub(crate) fn read_table(&mut self, process_id: Option<u32>) -> Result<(), ReadError> {
        let inodes = process_id.map(socket_inodes).transpose()?;
        let query = self.ledger.query();
        let (local_ports, now) = (self.system.local_ports(), self.system.now());
        self.ledger.begin_dump(local_ports);
        let (ledger, own_sockets) = (&mut self.ledger, &self.own_sockets);
        self.system.dump(&query, &mut |socket| ledger.see(socket, own_sockets, inodes.as_ref(), now))
    }
}

/// The beginning of work, to measure its cost.
pub(crate) struct Started {
    processor_time: Duration,
    at: Instant,
}

impl Started {
    pub(crate) fn now(system: &impl System) -> Self {
        Self { processor_time: system.processor_time(), at: system.now() }
    }

    /// Returns the processor time since then. Where none is measured, as in sandboxes that measure it in ticks of 10 ms,
    /// it is the time that has passed.
    pub(crate) fn cost(&self, system: &impl System) -> Duration {
        match system.processor_time().saturating_sub(self.processor_time) {
            Duration::ZERO => system.now().saturating_duration_since(self.at),
            cost => cost,
        }
    }
}
