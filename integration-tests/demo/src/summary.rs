//! The result of the demo.

use std::{fmt, time::Duration};

use crate::clients::Tally;

/// The result of the demo.
#[derive(Clone, Debug, Default)]
pub(crate) struct Summary {
    changes: Vec<(Change, &'static str, Duration)>,
    /// Time until the pods were level after the scale-up, and the number of connections that were moved for that.
    pub(crate) levelled: Option<(Duration, usize)>,
    /// Number of connections that were closed on purpose.
    pub(crate) moved: usize,
    pub(crate) reloads: u64,
    pub(crate) tally: Tally,
}

/// A measurement at a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Time from the API server's answer to the first new connection to the new pod, which has to wait for its turn.
    FirstConnection,
    /// Time from the API server's answer to the last new connection to the pod that left.
    LastConnection,
    /// Time from the moment at which Traefik's port listens to the first connection that reaches a backend.
    Restart,
}

/// Promised limit for each measurement. Far above the usual time, because other programs may use this machine too.
const MAX_TIME_PER_CHANGE: Duration = Duration::from_secs(1);

impl Change {
    fn label(self) -> &'static str {
        match self {
            Self::FirstConnection => "first new connection after",
            Self::LastConnection => "last new connection after",
            Self::Restart => "routes again after",
        }
    }
}

impl Summary {
    pub(crate) fn note(&mut self, change: Change, name: &'static str, took: Duration) {
        self.changes.push((change, name, took));
    }

    /// Returns a sentence for each broken promise.
    pub(crate) fn broken_promises(&self) -> Vec<String> {
        let slow = self.changes.iter().filter(|(_, _, took)| *took > MAX_TIME_PER_CHANGE);
        let slow = slow.map(|(change, name, took)| {
            format!(
                "{name}: {} {} ms, promised are {} ms",
                change.label(),
                took.as_millis(),
                MAX_TIME_PER_CHANGE.as_millis()
            )
        });
        let cut = self.cut_connections();
        let cut = (cut > 0).then(|| format!("{cut} connections were cut"));
        let requests = self.tally.cut_requests;
        let requests = (requests > 0).then(|| format!("{requests} requests were cut"));
        slow.chain(cut).chain(requests).collect()
    }

    /// Returns the number of connections that ended and were not closed on purpose.
    fn cut_connections(&self) -> usize {
        self.tally.ended.saturating_sub(self.moved)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{:<46}{:>8}", "connections opened", self.tally.opened)?;
        if let Some((took, moved)) = self.levelled {
            writeln!(f, "{:<46}{:>5} ms", "scale up: level after", took.as_millis())?;
            writeln!(f, "{:<46}{:>8}", "scale up: connections moved for that", moved)?;
        }
        writeln!(f, "{:<46}{:>8}", "requests cut", self.tally.cut_requests)?;
        writeln!(f, "{:<46}{:>8}", "other connections cut by us", self.cut_connections())?;
        writeln!(f, "{:<46}{:>8}", "connections ended with the killed Traefik", self.tally.ended_with_traefik)?;
        for (change, name, took) in &self.changes {
            writeln!(f, "{:<46}{:>5} ms", format!("{name}: {}", change.label()), took.as_millis())?;
        }
        write!(f, "{:<46}{:>8}", "reloads of Traefik", self.reloads)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demo_without_cuts_and_delays_breaks_no_promise() {
        let mut summary = Summary::default();
        summary.tally.ended_with_traefik = 300;
        (summary.tally.ended, summary.moved) = (50, 50);
        summary.note(Change::Restart, "Traefik restarted", MAX_TIME_PER_CHANGE);
        assert!(summary.broken_promises().is_empty());
    }

    #[test]
    fn a_cut_connection_and_a_slow_change_are_broken_promises() {
        let mut summary = Summary::default();
        summary.tally.ended = 52;
        summary.moved = 50;
        summary.tally.cut_requests = 1;
        summary.note(Change::LastConnection, "deleted", MAX_TIME_PER_CHANGE + Duration::from_millis(1));
        let broken = summary.broken_promises();
        assert_eq!(broken.len(), 3, "{broken:?}");
        assert!(broken[0].starts_with("deleted: last new connection after 1001 ms"), "{broken:?}");
        assert!(broken[1].contains("2 connections were cut"), "{broken:?}");
        assert!(broken[2].contains("1 requests were cut"), "{broken:?}");
    }
}
