use std::{collections::BTreeMap, net::SocketAddr};

use ilb_discovery::{Backend, State};
use ilb_reconciler::{Method, Reason, decision::Standing};
use serde::{Deserialize, Serialize};

use super::{PoolFacts, status::Word};

/// One backend, as those who look see it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct BackendStatus {
    pub(crate) address: SocketAddr,
    /// `ready`, `draining`, `not ready` or `suspect`.
    pub(crate) state: Word,
    pub(crate) zone: Option<String>,
    /// Shares of the connections relative to the other backends.
    pub(crate) capacity: u8,
    /// The weights that are in force, one per share; none if it gets no new connections.
    pub(crate) weights: Vec<u32>,
    /// How many of the next connections it gets before the fullest backend gets any, as far as the plan in force goes.
    pub(crate) head_start: Option<u64>,
    /// Established connections.
    pub(crate) established: Option<u32>,
    /// Connections that are being opened.
    pub(crate) opening: Option<u32>,
    /// Connections that came, and ended, since ilb started or the backend appeared.
    pub(crate) born: Option<u64>,
    pub(crate) gone: Option<u64>,
    /// The mean of the smoothed round-trip times of its connections.
    pub(crate) rtt_seconds: Option<f64>,
    /// Segments sent again, over its present connections.
    pub(crate) retransmits: Option<u64>,
    /// Why it gets what it gets.
    pub(crate) why: String,
}

impl PoolFacts {
    /// The first backends by address, so many at most.
    pub(crate) fn backends(&self, most: usize) -> Vec<BackendStatus> {
        let plan = PlanView::of(self);
        self.seen.iter().flat_map(|seen| seen.iter()).take(most).map(|backend| self.backend(backend, &plan)).collect()
    }

    fn backend(&self, backend: &Backend, plan: &PlanView) -> BackendStatus {
        let address = backend.address();
        let load = self.load.of(address);
        let totals = load.map(|_| self.load.totals.get(&address).copied().unwrap_or_default());
        let weights = plan.weights.get(&address).cloned().unwrap_or_default();
        let standing = self.standing(backend);
        let head_start =
            plan.head_start(&weights).map(|ahead| ahead.saturating_sub(totals.map_or(0, |t| t.since_push)));
        BackendStatus {
            address,
            state: match standing {
                Standing::State(state) => state.as_str(),
                _ => "suspect",
            }
            .into(),
            zone: backend.zone().map(ToString::to_string),
            capacity: backend.capacity().get(),
            why: plan.why(standing, head_start),
            head_start,
            weights,
            established: load.map(|l| l.established),
            opening: load.map(|l| l.opening),
            born: totals.map(|t| t.born),
            gone: totals.map(|t| t.gone),
            rtt_seconds: load.and_then(|l| l.rtt).map(|rtt| rtt.as_secs_f64()),
            retransmits: load.map(|l| l.retransmits),
        }
    }
}

impl BackendStatus {
    /// Leaves out those that tell least, so that no more than `longest` are left, and returns how many that were. First
    /// comes what is out of the ordinary, then the fullest. The list stays in the order of the addresses.
    pub(crate) fn leave_out(list: &mut Vec<Self>, longest: usize) -> usize {
        let omitted = list.len().saturating_sub(longest);
        if omitted > 0 {
            list.sort_by_key(|b| (b.state == State::Ready.as_str(), std::cmp::Reverse(b.established)));
            list.truncate(longest);
            list.sort_by_key(|b| b.address);
        }
        omitted
    }
}

/// The plan in force, arranged for looking up.
struct PlanView {
    weights: BTreeMap<SocketAddr, Vec<u32>>,
    lowest: u32,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    None,
    RoundRobin,
    /// Least connections that cannot count.
    Blind,
    LeastConnections,
}

impl PlanView {
    fn of(pool: &PoolFacts) -> Self {
        let mut weights: BTreeMap<_, Vec<u32>> = BTreeMap::new();
        let entries = pool.in_force.as_ref().map_or(&[][..], |decision| decision.plan.entries());
        for entry in entries {
            weights.entry(entry.address).or_default().push(entry.weight);
        }
        let kind = match &pool.in_force {
            None => Kind::None,
            Some(decision) if decision.method == Method::RoundRobin => Kind::RoundRobin,
            Some(decision) if decision.reason == Reason::Blind || pool.load.latest.is_none() => Kind::Blind,
            Some(_) => Kind::LeastConnections,
        };
        Self { weights, lowest: entries.iter().map(|entry| entry.weight).min().unwrap_or(0), kind }
    }

    fn head_start(&self, weights: &[u32]) -> Option<u64> {
        let ahead = || weights.iter().map(|weight| u64::from(weight - self.lowest)).sum();
        (self.kind == Kind::LeastConnections && !weights.is_empty()).then(ahead)
    }

    fn why(&self, standing: Standing, head_start: Option<u64>) -> String {
        match (standing, self.kind, head_start) {
            (Standing::State(State::Draining), ..) => "leaving: only old connections".to_owned(),
            (Standing::State(State::NotReady), ..) => "cannot serve: only old connections".to_owned(),
            (Standing::Suspect, ..) => "does not answer: nothing new until it does".to_owned(),
            (_, Kind::None, _) | (_, Kind::LeastConnections, None) => "not in force yet".to_owned(),
            (_, Kind::RoundRobin, _) => "takes its turn".to_owned(),
            (_, Kind::Blind, _) => "takes its turn: nobody can count".to_owned(),
            (_, Kind::LeastConnections, Some(0)) => "level with the fullest: takes its turn".to_owned(),
            (_, Kind::LeastConnections, Some(1)) => "less full: the next one comes here".to_owned(),
            (_, Kind::LeastConnections, Some(n)) => format!("less full: the next {n} come here"),
        }
    }
}
