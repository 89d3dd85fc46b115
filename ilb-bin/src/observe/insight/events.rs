//! The way from the loop's events to the facts.

use std::{collections::BTreeMap, sync::Arc};

use ilb_controller::{ClosingResult, DesiredPools, Event};
use ilb_reconciler::Reason;
use ilb_traefik_client::{Error, Name};
use tokio::time::Instant;

use super::{Facts, PoolFacts, event_log::record::entries, words::PushReason};

/// Urgency of a change for those who subscribed to the facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    /// Subscribers are woken.
    Now,
    /// The change is frequent, and subscribers see it when they are woken next or look by themselves.
    Routine,
}

impl Facts {
    /// Takes in one event.
    pub(super) fn on(&mut self, event: &Event<'_>, now: Instant) -> Urgency {
        let entries = entries(self, event, now);
        let urgency = self.take_in(event, now);
        if entries.is_empty() {
            return urgency;
        }
        for entry in entries {
            self.log.add(entry, now);
        }
        Urgency::Now
    }

    fn take_in(&mut self, event: &Event<'_>, now: Instant) -> Urgency {
        match event {
            Event::Alive => {
                self.beat = now;
                self.log.forget_old(now);
                self.pools.values_mut().for_each(PoolFacts::see_complaints);
                return Urgency::Routine;
            }
            Event::PoolAdded { pool } => {
                let facts = PoolFacts::new(pool, &self.history_budget, now);
                let facts = match self.pools.remove(pool.spec.name.as_str()) {
                    Some(before) => facts.replacing(before),
                    None => facts,
                };
                self.pools.insert(pool.spec.name.to_string(), facts);
            }
            Event::PoolRemoved { pool } => {
                self.pools.remove(pool.as_str());
            }
            Event::Discovered { pool, set, stale, .. } => {
                self.in_pool(pool, |pool| pool.discovered(set, stale.is_some(), now));
            }
            Event::DiscoveryStale { pool, error } => self.in_pool(pool, |pool| pool.stale(error, now)),
            Event::Sampled { pool, sample, balancer } => {
                self.in_pool(pool, |pool| pool.sampled(sample, balancer, now));
                return Urgency::Routine;
            }
            Event::CountingFailed { pool, error } => {
                self.in_pool(pool, |pool| pool.load.failed(&error.with_causes().to_string()));
            }
            Event::CountingImpossible { pool, reason } => self.in_pool(pool, |pool| pool.load.failed(reason)),
            Event::BackendsShared { pool, backends } => self.in_pool(pool, |pool| pool.shared = *backends),
            Event::StandingChanged { pool, change } => self.in_pool(pool, |pool| pool.standing_changed(change, now)),
            Event::Probed { pool, outcome, .. } => self.in_pool(pool, |pool| pool.load.probed(outcome)),
            Event::Decided { pool, decision } => {
                self.in_pool(pool, |pool| pool.decided = Some(Arc::clone(decision)));
                return Urgency::Routine;
            }
            Event::PushStarted { desired } => self.push_started(desired, now),
            Event::Pushed { desired, applied, .. } => {
                self.in_force(desired, now);
                self.refused(&applied.faults, now);
                self.traefik.pushed(applied, now);
            }
            Event::PushFailed { error } => {
                self.pools.values_mut().for_each(PoolFacts::push_failed);
                if let Error::NoneInForce { faults } = error {
                    self.refused(faults, now);
                }
                self.traefik.push_failed(error, now);
            }
            Event::ClosingsPlanned { pool, outlook } => {
                self.in_pool(pool, |pool| pool.closings.planned = Some(**outlook));
            }
            Event::ClosingsBegan { pool, run } => {
                self.in_pool(pool, |pool| pool.closings.run = Some((*run).clone()));
            }
            Event::ClosingsEnded { pool, .. } => self.in_pool(pool, |pool| pool.closings.run = None),
            Event::ClosingStateChanged { pool, state } => self.in_pool(pool, |pool| pool.closings.state = *state),
            Event::ClosingsCounted { pool, facts } => {
                self.in_pool(pool, |pool| pool.closings.facts = **facts);
                return Urgency::Routine;
            }
            Event::ConnectionClosed { pool, order, result } => {
                if let ClosingResult::Refused(refusal) = result {
                    self.closer.refused(*refusal);
                }
                self.in_pool(pool, |pool| pool.closings.closed(order, result));
                return Urgency::Routine;
            }
            Event::HalfClosed { result, .. } => {
                self.closer.half_closed(result);
                return Urgency::Routine;
            }
            Event::CloserChanged { ability } => self.closer.ability = Some((*ability).clone()),
            Event::Sibling { event } => {
                if !self.siblings.on(event, now) {
                    return Urgency::Routine;
                }
            }
            Event::ReportIgnored { cause, .. } => {
                self.siblings.ignored(*cause);
                return Urgency::Routine;
            }
            Event::ProofHeld => {
                self.traefik.proof_held(now);
                return Urgency::Routine;
            }
            Event::ProofLost { error } => self.traefik.proof_lost(error, now),
            Event::RivalFound => self.traefik.has_rival = true,
            Event::RivalGone => self.traefik.has_rival = false,
            Event::InstanceChanged { instance, state } => self.traefik.instance_changed(instance, *state, now),
            _ => return Urgency::Routine,
        }
        Urgency::Now
    }

    /// Takes in that the decisions of these pools are in force.
    pub(super) fn in_force(&mut self, desired: &DesiredPools, now: Instant) {
        for (pool, desired) in desired {
            self.in_pool(pool, |pool| pool.pushed(desired, now));
        }
    }

    /// Takes in that these pools are not in force.
    fn refused(&mut self, faults: &BTreeMap<Name, Error>, now: Instant) {
        for (pool, error) in faults {
            self.in_pool(pool, |pool| pool.refused(error, now));
        }
    }

    fn push_started(&mut self, desired: &DesiredPools, now: Instant) {
        let (mut entries, mut reason) = (0, None);
        for (pool, desired) in desired {
            entries += desired.decision.plan.entries().len();
            self.in_pool(pool, |pool| reason = reason.max(pool.push_started(&desired.decision)));
        }
        // What was lost is pushed again with the counts of the moment, so its decisions are new.
        let repairs = self.traefik.problem.is_some();
        let reason = match reason {
            None => PushReason::Repair,
            Some(Reason::Freshness) if repairs => PushReason::Repair,
            Some(reason) => reason.into(),
        };
        self.traefik.push_started(reason, entries, now);
    }

    fn in_pool(&mut self, pool: &Name, with: impl FnOnce(&mut PoolFacts)) {
        if let Some(pool) = self.pools.get_mut(pool.as_str()) {
            with(pool);
        }
    }
}
