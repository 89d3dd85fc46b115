//! Siblings: the other replicas that spread connections over the same backends.
//!
//! The rule is described in the [README of the crate](crate#several-replicas), and its users call it through
//! [`LeastConnections`](crate::LeastConnections).

mod blend;
mod counts;
mod fill;
mod history;
mod intake;
mod portion;
mod recent;
mod report;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

pub(crate) use self::blend::{Heights, Whole};
use self::{
    blend::{Input, Neighbour, blend, shares},
    counts::Counts,
    history::{History, OwnSample},
    intake::Intake,
};
pub use self::{
    portion::portion,
    report::{Heard, Ignored, InvalidReplicaId, ReplicaId, Report},
};

/// Maximum number of siblings. With as many, each knows little enough of the others that more would change nothing; the
/// rule was simulated with 50.
pub const MAX_SIBLINGS: usize = 128;

/// Maximum number of backends in a report.
pub const MAX_BACKENDS: usize = 20_000;

/// Age of the counts of a sibling from which on it is silent: its last report no longer takes part.
pub const SILENT_AFTER: Duration = Duration::from_secs(5);

/// State of the exchange as one replica sees it, for its users to show.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Sharing {
    /// Part of all connections that this replica gets, by those that opened recently: 1 if it hears no sibling.
    pub share: f64,
    /// Siblings that have reported and have not left, by identity.
    pub siblings: Vec<SiblingStatus>,
}

/// State of one sibling.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SiblingStatus {
    /// Identity of the sibling.
    pub replica: ReplicaId,
    /// Time since it took the counts of its last report.
    pub age: Duration,
    /// Connections through it in its last report.
    pub connections: u64,
    /// Part of all connections that it gets; `None` if it is silent.
    pub share: Option<f64>,
}

/// Knowledge of one replica about itself over time and about its siblings.
#[derive(Debug)]
pub(crate) struct Siblings {
    own: ReplicaId,
    intake: Intake,
    /// Connections that have opened at all replicas, as far as is known.
    opened_by_all: u64,
    history: History,
    others: BTreeMap<ReplicaId, Sibling>,
}

/// A sibling with its last report.
#[derive(Debug)]
struct Sibling {
    sample: u64,
    counted_at: Instant,
    opened: u64,
    connections: Counts,
    /// Connections as they were reported, to see without a comparison that nothing has changed.
    reported: Arc<BTreeMap<SocketAddr, u32>>,
    intake: Intake,
    /// The sample of this replica that is compared with that of the sibling.
    own_then: Arc<OwnSample>,
}

impl Sibling {
    fn is_heard(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.counted_at) <= SILENT_AFTER
    }
}

impl Siblings {
    pub(crate) fn new(own: ReplicaId) -> Self {
        let (intake, history) = (Intake::default(), History::default());
        Self { own, intake, opened_by_all: 0, history, others: BTreeMap::new() }
    }

    /// Takes in the connections of a sample of this replica, in the order of addresses, and how many have opened since
    /// the one before.
    pub(crate) fn sampled(
        &mut self,
        connections: impl Iterator<Item = (SocketAddr, u32)> + Clone,
        opened: u32,
        now: Instant,
    ) {
        self.intake.recent.add(opened.into(), now);
        if opened > 0 {
            self.opened_by_all = self.opened_by_all.saturating_add(opened.into());
            self.intake.opened(self.opened_by_all);
        }
        let is_first = self.history.last().is_none();
        self.history.add(connections, opened, now);
        if is_first {
            // What was heard before, as at the start beside a Traefik that has connections already, is compared with this.
            let first = self.history.at(now);
            self.others.values_mut().for_each(|sibling| sibling.own_then = Arc::clone(&first));
        }
    }

    /// Returns the report of this replica; `None` before its first sample.
    pub(crate) fn report(&self, now: Instant) -> Option<Report> {
        let last = self.history.last()?;
        Some(Report {
            replica: self.own,
            sample: last.number,
            age: now.saturating_duration_since(last.at),
            opened: last.opened,
            connections: Arc::new(last.connections.iter().filter(|(_, connections)| *connections > 0).collect()),
            closed_on_purpose: 0,
        })
    }

    /// Returns `true` if a later sample of the same sibling is known.
    pub(crate) fn knows_later(&self, report: &Report) -> bool {
        self.others.get(&report.replica).is_some_and(|known| known.sample > report.sample)
    }

    /// Takes in a report of a sibling.
    pub(crate) fn heard(&mut self, report: Report, now: Instant) -> Heard {
        let counted_at = match self.moment_of(&report, now) {
            Ok(counted_at) => counted_at,
            Err(heard) => return heard,
        };
        let own_then = self.history.at(counted_at);
        let before = self.others.remove(&report.replica);
        let same = before.as_ref().filter(|before| Arc::ptr_eq(&before.reported, &report.connections));
        let connections = same.map_or_else(|| Counts::from(&*report.connections), |same| same.connections.clone());
        let is_news = same.is_none() && before.as_ref().is_none_or(|before| before.connections != connections);
        let new = || (Intake::first_heard(report.opened > 0, self.opened_by_all), report.opened);
        let (mut intake, known) = before.map_or_else(new, |before| (before.intake, before.opened));
        let new_ones = report.opened.saturating_sub(known);
        intake.recent.add(new_ones, counted_at);
        if new_ones > 0 {
            self.opened_by_all = self.opened_by_all.saturating_add(new_ones);
            intake.opened(self.opened_by_all);
        }
        let (sample, opened, reported) = (report.sample, report.opened, report.connections);
        let sibling = Sibling { sample, counted_at, opened, connections, reported, intake, own_then };
        self.others.insert(report.replica, sibling);
        if is_news { Heard::News } else { Heard::Unchanged }
    }

    /// Returns the moment at which the counts of a report were taken, or why it changes nothing.
    fn moment_of(&mut self, report: &Report, now: Instant) -> Result<Instant, Heard> {
        if report.replica == self.own {
            return Err(Heard::Ignored(Ignored::Own));
        }
        if report.connections.len() > MAX_BACKENDS {
            return Err(Heard::Ignored(Ignored::TooManyBackends));
        }
        let counted_at = now.checked_sub(report.age).filter(|_| report.age <= SILENT_AFTER);
        let counted_at = counted_at.ok_or(Heard::Ignored(Ignored::Old))?;
        match self.others.get(&report.replica).map(|known| (known.sample, known.counted_at)) {
            Some((known, _)) if known == report.sample => Err(Heard::Repeated),
            Some((known, _)) if known > report.sample => Err(Heard::Ignored(Ignored::Overtaken)),
            // The time that each report took is only estimated, so that a later one may seem to be of an earlier moment.
            Some((_, before)) => Ok(counted_at.max(before)),
            None if self.others.len() < MAX_SIBLINGS || self.forget_a_silent_one(now) => Ok(counted_at),
            None => Err(Heard::Ignored(Ignored::TooManySiblings)),
        }
    }

    /// Forgets the sibling that has been silent for longest, if there is one, and returns `true` if so.
    fn forget_a_silent_one(&mut self, now: Instant) -> bool {
        let silent = self.others.iter().filter(|(_, sibling)| !sibling.is_heard(now));
        let longest = silent.min_by_key(|(_, sibling)| sibling.counted_at).map(|(replica, _)| *replica);
        longest.is_some_and(|replica| self.others.remove(&replica).is_some())
    }

    /// Forgets a sibling that has ended, and returns `true` if it was known.
    pub(crate) fn left(&mut self, replica: ReplicaId) -> bool {
        self.others.remove(&replica).is_some()
    }

    /// Returns where the backends stand by all counts that are known; `None` if no sibling is heard. They are given with
    /// the connections and the capacity of each, in the order of addresses.
    pub(crate) fn heights(
        &self,
        backends: impl Iterator<Item = (SocketAddr, u32, u8)> + Clone,
        now: Instant,
    ) -> Option<Heights> {
        let last = self.history.last()?;
        let replicas = self.heard_ones(now).count() + 1;
        let neighbour = |sibling: &Sibling| Neighbour {
            connections: sibling.connections.of(backends.clone().map(|b| b.0)).collect(),
            own_then: sibling.own_then.connections.of(backends.clone().map(|b| b.0)).collect(),
            opened_since: last.opened.saturating_sub(sibling.own_then.opened),
            arrivals: sibling.intake.weight(self.opened_by_all, replicas),
        };
        let siblings: Vec<_> = self.heard_ones(now).map(|(_, sibling)| neighbour(sibling)).collect();
        let connections: Vec<_> = backends.clone().map(|b| b.1).collect();
        let capacities: Vec<_> = backends.map(|b| b.2).collect();
        let arrivals = self.intake.weight(self.opened_by_all, replicas);
        blend(&Input { connections: &connections, capacities: &capacities, arrivals, siblings: &siblings })
    }

    /// Returns the connections of all siblings that are heard to one backend.
    pub(crate) fn connections_to(&self, backend: SocketAddr, now: Instant) -> u64 {
        let each =
            |(_, sibling): (_, &Sibling)| sibling.connections.of([backend].into_iter()).map(u64::from).sum::<u64>();
        self.heard_ones(now).map(each).sum()
    }

    /// Returns the connections of all siblings that are heard to each of these backends, which are in the order of addresses;
    /// `None` if none is heard.
    pub(crate) fn connections_to_each(&self, backends: &[SocketAddr], now: Instant) -> Option<Vec<u64>> {
        let mut sums: Option<Vec<u64>> = None;
        for (_, sibling) in self.heard_ones(now) {
            let sums = sums.get_or_insert_with(|| vec![0; backends.len()]);
            for (sum, connections) in sums.iter_mut().zip(sibling.connections.of(backends.iter().copied())) {
                *sum += u64::from(connections);
            }
        }
        sums
    }

    pub(crate) fn sharing(&self, now: Instant) -> Sharing {
        let replicas = self.heard_ones(now).count() + 1;
        let weight = |intake: &Intake| intake.weight(self.opened_by_all, replicas);
        let of_siblings = self.heard_ones(now).map(|(_, sibling)| weight(&sibling.intake));
        let (share, of_siblings) = shares(weight(&self.intake), of_siblings);
        let mut of_siblings = of_siblings.into_iter();
        let siblings = self.others.iter().map(|(replica, sibling)| SiblingStatus {
            replica: *replica,
            age: now.saturating_duration_since(sibling.counted_at),
            connections: sibling.connections.sum(),
            share: sibling.is_heard(now).then(|| of_siblings.next()).flatten(),
        });
        Sharing { share, siblings: siblings.collect() }
    }

    /// Returns `true` if some siblings are heard, and all of them have counted since `moment`.
    pub(crate) fn have_counted_since(&self, moment: Instant, now: Instant) -> bool {
        let mut heard = self.heard_ones(now).peekable();
        heard.peek().is_some() && heard.all(|(_, sibling)| sibling.counted_at >= moment)
    }

    fn heard_ones(&self, now: Instant) -> impl Iterator<Item = (&ReplicaId, &Sibling)> {
        self.others.iter().filter(move |(_, sibling)| sibling.is_heard(now))
    }
}

#[cfg(test)]
mod tests;
