//! The plan in force as the status shows it.

use std::{collections::BTreeMap, net::SocketAddr};

use ilb_reconciler::{Method, Reason};

use crate::observe::insight::PoolFacts;

/// The plan in force, arranged by backend.
#[derive(Debug)]
pub(super) struct PlanInForce {
    /// Weights of the backends that are shown, one per share.
    pub(super) weights: BTreeMap<SocketAddr, Vec<u32>>,
    lowest_weight: u32,
    pub(super) balancing: Balancing,
}

/// Method by which the plan in force balances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Balancing {
    /// No plan is in force.
    None,
    RoundRobin,
    /// Least connections is configured, but connections cannot be counted.
    Blind,
    LeastConnections,
}

impl PlanInForce {
    /// Arranges the plan of a pool for the backends that are `shown`.
    pub(super) fn new(pool: &PoolFacts, shown: impl Iterator<Item = SocketAddr>) -> Self {
        let mut weights: BTreeMap<_, Vec<u32>> = shown.map(|backend| (backend, Vec::new())).collect();
        let entries = pool.in_force.as_ref().map_or(&[][..], |decision| decision.plan.entries());
        for entry in entries {
            if let Some(weights) = weights.get_mut(&entry.address) {
                weights.push(entry.weight);
            }
        }
        let balancing = match &pool.in_force {
            None => Balancing::None,
            Some(decision) if decision.method == Method::RoundRobin => Balancing::RoundRobin,
            Some(decision) if decision.reason == Reason::Blind || pool.load.latest.is_none() => Balancing::Blind,
            Some(_) => Balancing::LeastConnections,
        };
        Self { weights, lowest_weight: entries.iter().map(|entry| entry.weight).min().unwrap_or(0), balancing }
    }

    /// Returns how many new connections a backend with these weights gets before the fullest one gets its next.
    pub(super) fn head_start(&self, weights: &[u32]) -> Option<u64> {
        let ahead = || weights.iter().map(|weight| u64::from(weight - self.lowest_weight)).sum();
        (self.balancing == Balancing::LeastConnections && !weights.is_empty()).then(ahead)
    }
}
