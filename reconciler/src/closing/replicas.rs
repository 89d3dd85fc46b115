//! Knowledge of the siblings' connections for a rebalance, and the portion of this replica.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    closing::goals::{Goals, Member},
    siblings::{ReplicaId, Report, SILENT_AFTER, portion},
};

/// Knowledge about the siblings, and the step that this replica takes. Alone there are no steps, and the portion is the
/// whole.
#[derive(Clone, Debug, Default)]
pub(crate) struct Together {
    /// Identity of this replica; `None` if it balances alone.
    own: Option<ReplicaId>,
    others: BTreeMap<ReplicaId, Other>,
    /// The siblings that have to be known; `None` while one that is listed is not heard.
    heard: Option<BTreeSet<ReplicaId>>,
    step: Option<Step>,
}

/// Last report of a sibling.
#[derive(Clone, Debug)]
struct Other {
    sample: u64,
    counted_at: Instant,
    opened: u64,
    closed: u64,
    connections: Arc<BTreeMap<SocketAddr, u32>>,
}

/// Part of the surplus that is closed before all replicas have counted again. Between two of them nothing that others do is
/// known, so that without steps each replica would go on to close what others have closed already.
#[derive(Clone, Debug)]
struct Step {
    begun: Instant,
    /// Connections of each backend that this replica may still close.
    of_backends: BTreeMap<SocketAddr, u64>,
    /// Connections of all backends together that it may still close, which may be fewer.
    left: u64,
    /// Portion of this replica in the step of all of them, both at its beginning.
    portion: (u64, u64),
}

/// Minimum time between the beginnings of two steps: twice the longest time that counts take to all siblings, and the time in
/// which most clients come back.
const STEP: Duration = Duration::from_secs(5);

/// Part of the surplus of a backend that is closed in a step, in percent. What replicas do not know of each other yet makes
/// them close too many: with all at once, 6 % more in the simulation of the rule. With 20 %, a scale-out from 4 to 8 backends
/// takes longer than a minute, whatever the rate is.
const STEP_PERCENT: u64 = 50;

/// Connections of a sibling that were closed on purpose, opened and ended since its report before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct News {
    pub(crate) closed: u64,
    pub(crate) opened: u64,
    pub(crate) ended: u64,
}

impl Together {
    pub(crate) fn set_replica(&mut self, replica: ReplicaId) {
        if self.own != Some(replica) {
            *self = Self { own: Some(replica), ..Self::default() };
        }
    }

    pub(crate) fn heard(&mut self, siblings: Option<&BTreeSet<ReplicaId>>) {
        self.heard = siblings.cloned();
    }

    /// Takes in a report. Returns what has happened since the one before.
    pub(crate) fn reported(&mut self, report: &Report, now: Instant) -> Option<News> {
        if self.own.is_none_or(|own| own == report.replica) {
            return None;
        }
        let other = Other {
            sample: report.sample,
            counted_at: now.checked_sub(report.age).unwrap_or(now),
            opened: report.opened,
            closed: report.closed_on_purpose,
            connections: Arc::clone(&report.connections),
        };
        let before = self.others.insert(report.replica, other);
        // What was before the first report is unknown, and a lower number is that of a pool that was added again.
        let before = before.filter(|before| before.sample < report.sample)?;
        let opened = report.opened.saturating_sub(before.opened);
        let in_all =
            |connections: &BTreeMap<SocketAddr, u32>| connections.values().copied().map(u64::from).sum::<u64>();
        let ended = in_all(&before.connections).saturating_add(opened).saturating_sub(in_all(&report.connections));
        Some(News { closed: report.closed_on_purpose.saturating_sub(before.closed), opened, ended })
    }

    pub(crate) fn left(&mut self, replica: ReplicaId) {
        self.others.remove(&replica);
    }

    /// Adds the connections of the siblings to those of this replica. `away` are those that will open somewhere.
    pub(crate) fn add_to(&self, own: Goals, away: u64) -> Goals {
        if self.others.is_empty() {
            return own;
        }
        let with_others = |member: Member| {
            let theirs = self.connections_to(member.backend);
            Member { connections: member.connections + theirs, ..member }
        };
        Goals::new(own.members.into_iter().map(with_others).collect(), away)
    }

    /// Returns the portion of this replica in at most this many of the surplus connections.
    pub(crate) fn own_portion(&self, goals: &Goals, most: u64) -> u64 {
        self.portions(goals, 100).of(most)
    }

    /// Begins the next step if it is due. At most `most` connections may be closed by all replicas, and all have to have counted
    /// `since` the goals were missed: one that has stopped is taken to be heard for seconds. Returns an error while there is
    /// nothing to close in the present step: the moment at which that may change without news.
    pub(crate) fn wait_for_step(
        &mut self,
        goals: &Goals,
        most: u64,
        since: Instant,
        now: Instant,
    ) -> Result<(), Option<Instant>> {
        if self.others.is_empty() {
            self.step = None;
            return Ok(());
        }
        let begun = self.step.as_ref().map(|step| step.begun);
        let is_over = begun.is_none_or(|begun| now.saturating_duration_since(begun) >= STEP);
        let counted_after = begun.map_or(since, |begun| begun.max(since));
        let have_counted = || self.others.values().all(|other| other.counted_at > counted_after);
        if is_over && have_counted() {
            let portions = self.portions(goals, STEP_PERCENT);
            self.step = Some(Step {
                begun: now,
                left: portions.of(most),
                portion: (portions.own, portions.all),
                of_backends: portions.of_backends,
            });
        }
        match &self.step {
            Some(step) if step.left == 0 || step.begun < since => Err((!is_over).then(|| step.begun + STEP)),
            Some(_) => Ok(()),
            None => Err(None),
        }
    }

    /// Returns `true` if there are no siblings, or the connections of all of them are known.
    pub(crate) fn is_complete(&self, now: Instant) -> bool {
        let is_known = |replica: &ReplicaId| {
            let other = self.others.get(replica);
            other.is_some_and(|other| now.saturating_duration_since(other.counted_at) <= SILENT_AFTER)
        };
        let all_are_known = |heard: &BTreeSet<ReplicaId>| {
            heard.iter().all(is_known) && self.others.keys().all(|replica| heard.contains(replica))
        };
        self.own.is_none() || self.heard.as_ref().is_some_and(all_are_known)
    }

    /// Returns `true` if the present step leaves connections of this backend to this replica.
    pub(crate) fn may_close_of(&self, backend: SocketAddr) -> bool {
        self.step.as_ref().is_none_or(|step| step.of_backends.get(&backend).is_some_and(|left| *left > 0))
    }

    /// Takes in that a connection of this backend is closed. Returns the time until the next one, of which one of all replicas
    /// is closed in each `interval`.
    pub(crate) fn took(&mut self, backend: SocketAddr, interval: Duration) -> Duration {
        let Some(step) = &mut self.step else { return interval };
        step.left = step.left.saturating_sub(1);
        if let Some(left) = step.of_backends.get_mut(&backend) {
            *left = left.saturating_sub(1);
        }
        let (own, all) = step.portion;
        let number = |connections: u64| u32::try_from(connections).unwrap_or(u32::MAX);
        interval.saturating_mul(number(all)) / number(own).max(1)
    }

    /// Returns the part of this replica in a budget, rounded up, in proportion to its connections.
    pub(crate) fn own_part_of(&self, budget: u64, goals: &Goals) -> u64 {
        let all: u64 = goals.members.iter().map(|member| member.connections).sum();
        let theirs: u64 = goals.members.iter().map(|member| self.connections_to(member.backend)).sum();
        if theirs == 0 { budget } else { budget.saturating_mul(all.saturating_sub(theirs)).div_ceil(all.max(1)) }
    }

    /// Shares out this many percent of the surplus of each backend, rounded up.
    fn portions(&self, goals: &Goals, percent: u64) -> Portions {
        let mut portions = Portions::default();
        for member in &goals.members {
            let whole = (goals.surplus_of(member) * percent).div_ceil(100);
            let theirs = self.connections_to(member.backend);
            let before = self.own.map_or(0, |own| sum(self.others.range(..own), member.backend));
            let own = portion(whole, before, member.connections.saturating_sub(theirs), member.connections);
            portions.before += portion(whole, 0, before, member.connections);
            portions.own += own;
            portions.all += whole;
            if own > 0 {
                portions.of_backends.insert(member.backend, own);
            }
        }
        portions
    }

    fn connections_to(&self, backend: SocketAddr) -> u64 {
        sum(self.others.iter(), backend)
    }
}

/// Connections that this replica closes of those that all of them do.
#[derive(Debug, Default)]
struct Portions {
    of_backends: BTreeMap<SocketAddr, u64>,
    /// Portions of the replicas before this one.
    before: u64,
    own: u64,
    all: u64,
}

impl Portions {
    /// Returns the own portion if all replicas together close at most this many.
    fn of(&self, most: u64) -> u64 {
        portion(most, self.before, self.own, self.all)
    }
}

fn sum<'a>(others: impl Iterator<Item = (&'a ReplicaId, &'a Other)>, backend: SocketAddr) -> u64 {
    others.map(|(_, other)| other.connections.get(&backend).copied().map_or(0, u64::from)).sum()
}
