//! Least connections: what counting reports.

use std::{
    cell::OnceCell,
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use super::{Counting, LeastConnections};
use crate::{
    admission::Peers,
    decision::Reason,
    observations::{Count, Ending},
    outcomes::{Outcomes, Sign, usual_share},
    presumed::{Found, MAX_PRESUMED, PlacedBy, next_picks},
    sampling::Activity,
    tracked::Tracked,
};

/// Number of backends without a response from which on all others are probed, too: together they may be those of one
/// node or zone, of which the others just have had no connection yet.
const MIN_SILENT_TO_SWEEP: usize = 3;

/// Minimum time between two such sweeps.
const SWEEP_PAUSE: Duration = Duration::from_secs(5);

impl LeastConnections {
    /// Takes in the ends of connections since the last sample, without those that were closed on purpose. They are judged
    /// together with the next one, which is taken at `now`.
    pub fn ended(&mut self, endings: impl IntoIterator<Item = (SocketAddr, Ending)>, now: Instant) {
        for (address, ending) in endings {
            if let Some(tracked) = self.backends.get_mut(&address) {
                tracked.ended(&ending, now);
            }
        }
    }

    /// Takes in that a connection was heard to end: the next sample is due as soon as the budget allows.
    pub fn heard_end(&mut self) {
        self.sampling.heard();
    }

    /// Takes in the counts of all backends, and their cost in processor time. A backend without a count has no
    /// connections. A sample before the first set of backends is ignored: it was taken without knowing the addresses.
    pub fn sampled(&mut self, counts: impl IntoIterator<Item = (SocketAddr, Count)>, cost: Duration, now: Instant) {
        if !self.knows_backends {
            return;
        }
        let mut counts: BTreeMap<_, _> = counts.into_iter().collect();
        let is_around_push = std::mem::take(&mut self.has_just_pushed);
        // What opened since the sample before the push did so while the plan before was in force, for the most part.
        let is_of_plan_before =
            is_around_push && self.in_force.as_ref().is_some_and(|f| now.saturating_duration_since(f.since) <= f.took);
        let (mut activity, mut opened) = (Activity::Idle, 0u32);
        self.found_elsewhere.clear();
        let mut concerned = Vec::new();
        for (address, tracked) in &mut self.backends {
            let count = counts.remove(address).unwrap_or_default();
            if count.opened > 0 || count.connections != tracked.count.connections {
                activity = Activity::Busy;
            }
            opened = opened.saturating_add(count.opened);
            let found = if count.opened > 0 { self.presumed.found(*address, count.opened) } else { Found::default() };
            tracked.no_longer_presume(found.connections);
            let was_open = tracked.admission.is_open();
            let outcomes = tracked.sampled(count);
            tracked.placed_before(found.placed_before);
            let elsewhere = count.opened.saturating_sub(found.connections).min(MAX_PRESUMED);
            self.found_elsewhere.extend((0..elsewhere).map(|_| *address));
            if is_around_push {
                tracked.sampled_around_push(is_of_plan_before);
            }
            if tracked.is_ready() {
                if was_open {
                    self.peers.add(&outcomes);
                }
                if !was_open || outcomes != Outcomes::default() {
                    concerned.push(*address);
                }
            }
        }
        self.arrivals.add(opened, now);
        if let Some(siblings) = &mut self.siblings {
            siblings.sampled(self.backends.iter().map(|(a, t)| (*a, t.connections())), opened, now);
        }
        if std::mem::replace(&mut self.counting, Counting::Working) != Counting::Working {
            self.make_urgent(Some(Reason::Counting));
        }
        self.judge(&concerned, now);
        self.look_for_signs(is_around_push, now);
        self.sampling.sampled(activity, cost, now);
        self.has_fresh_counts = true;
        if self.recount_until.take().is_some() {
            self.renew();
        }
    }

    /// Takes in how many connections have opened that the last sample could not find. They are presumed to be where the
    /// plan in force sends new ones, until a sample finds them.
    pub fn presume(&mut self, unseen: u32) {
        let (more, found) = self.presumed.adjust(unseen);
        let placed_before = found.iter().filter(|presumed| presumed.placed_by == PlacedBy::PlanBefore).count();
        for presumed in found {
            if let Some(tracked) = self.backends.get_mut(&presumed.backend) {
                tracked.no_longer_presume(1);
            }
        }
        for _ in 0..placed_before {
            self.found_one_of_plan_before();
        }
        let Some(in_force) = self.in_force.as_ref().filter(|_| more > 0) else { return };
        let picks = next_picks(in_force.remainders(self.backends.values()), more);
        for address in &picks {
            if let Some(tracked) = self.backends.get_mut(address) {
                tracked.presume();
            }
        }
        self.presumed.add(picks);
    }

    /// Takes in that one of the connections that were found elsewhere had been placed by a plan before the one in force:
    /// most likely where that one had the least left.
    fn found_one_of_plan_before(&mut self) {
        let Some(in_force) = &self.in_force else { return };
        let left = |address: &SocketAddr| {
            let remainder = in_force.remainders(self.backends.get(address).into_iter()).next();
            remainder.map_or(f64::NEG_INFINITY, |remainder| remainder.connections)
        };
        let elsewhere = self.found_elsewhere.iter().enumerate();
        let Some((at, _)) = elsewhere.min_by(|a, b| left(a.1).total_cmp(&left(b.1))) else { return };
        let address = self.found_elsewhere.swap_remove(at);
        if let Some(tracked) = self.backends.get_mut(&address) {
            tracked.placed_before(1);
        }
    }

    /// Compares the outcomes of the backends concerned with those of their peers.
    fn judge(&mut self, concerned: &[SocketAddr], now: Instant) {
        if concerned.is_empty() {
            return;
        }
        // They are all found with the outcomes of before any verdict of this sample.
        let usual = {
            let usual: [OnceCell<Option<f64>>; Sign::ALL.len()] = Default::default();
            let backends = &self.backends;
            let recent = || backends.values().filter(|t| t.is_ready()).map(|t| t.admission.recent());
            let usual = |sign: Sign| *usual[sign.index()].get_or_init(|| usual_share(recent(), sign));
            let any_works = backends.values().any(|t| t.is_ready() && t.works());
            let open = backends.values().filter(|t| t.is_ready() && t.admission.is_open());
            let peers = Peers { usual: &usual, any_works, total: self.peers, mean_load: mean_load(open) };
            let judged = concerned.iter().filter_map(|address| Some((*address, backends.get(address)?.clone())));
            judged
                .map(|(address, mut tracked)| {
                    tracked.judge(&peers, now);
                    (address, tracked)
                })
                .collect::<Vec<_>>()
        };
        self.backends.extend(usual);
    }

    /// Looks for backends that seem to take no connections.
    fn look_for_signs(&mut self, is_around_push: bool, now: Instant) {
        // What the first sample after a push sees may have opened under the plan before.
        let missed = if is_around_push { vec![0; self.backends.len()] } else { self.missed() };
        for (tracked, missed) in self.backends.values_mut().zip(missed) {
            if tracked.is_ready() {
                tracked.guard.sampled(&tracked.count, missed, now);
            }
        }
        let silent = self.backends.values().filter(|t| t.is_ready() && t.guard.does_not_respond()).count();
        if silent >= MIN_SILENT_TO_SWEEP && self.swept_at.is_none_or(|at| now >= at + SWEEP_PAUSE) {
            self.swept_at = Some(now);
            for tracked in self.backends.values_mut().filter(|t| t.is_ready()) {
                tracked.guard.doubt();
            }
        }
    }

    /// Takes in that the connections cannot be counted: only round robin is possible until the next sample.
    pub fn counting_failed(&mut self, now: Instant) {
        if std::mem::replace(&mut self.counting, Counting::Failing) != Counting::Failing {
            self.make_urgent(Some(Reason::Blind));
        }
        self.recount_until = None;
        self.sampling.failed(now);
    }
}

/// Returns the mean number of connections per share of capacity; `None` without backends.
fn mean_load<'a>(backends: impl Iterator<Item = &'a Tracked>) -> Option<f64> {
    let add = |(connections, shares): (f64, f64), tracked: &Tracked| {
        (connections + f64::from(tracked.count.connections), shares + f64::from(tracked.backend.capacity().get()))
    };
    let (connections, shares) = backends.fold((0.0, 0.0), add);
    (shares > 0.0).then(|| connections / shares)
}
