//! Ways in which backends fail although discovery calls them ready.

use std::ops::Range;

/// A way to fail, which begins at a moment and does not end.
///
/// A working backend greets each connection with a line that names its address, and answers each line that it gets. A
/// connection has failed if its client, which sends one line after the greeting, did not get the answer within 5 s.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Failure {
    /// Accepts each connection and closes it without a byte, as a proxy in the pod does whose application has crashed.
    /// Connections that were open are closed.
    AcceptsThenCloses,
    /// Greets each connection and closes it without waiting for a line, as an application does that cannot reach what it
    /// needs. Connections that were open are closed.
    GreetsThenCloses,
    /// Greets each connection, waits for a line and closes without an answer, as an application does that crashes at each
    /// request. Connections that were open are closed.
    ClosesAfterRequest,
    /// Serves at most this many connections at a time, and closes each other one after the line `full` instead of the
    /// greeting, as databases do at their limit. Connections that were open stay.
    Full(usize),
    /// Vanishes with its node: no packet reaches it, and nothing answers. Connections that were open stay and are silent.
    Lost,
}

/// The backends of a scenario that fail.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failing {
    /// Index of the first one.
    pub(crate) first: usize,
    /// Number of those that fail.
    pub(crate) count: usize,
    pub(crate) how: Failure,
}

impl Failure {
    /// Returns whether open connections are closed when the failure begins.
    pub(crate) fn closes_open_connections(self) -> bool {
        matches!(self, Self::AcceptsThenCloses | Self::GreetsThenCloses | Self::ClosesAfterRequest)
    }
}

impl Failing {
    /// Returns the indexes of the backends that fail.
    pub(crate) fn indexes(&self) -> Range<usize> {
        self.first..self.first + self.count
    }
}
