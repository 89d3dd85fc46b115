//! The model: what must hold, given the faults at work and the pods. It is pure: callers pass the time.

mod expected;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

pub(crate) use self::expected::{Expected, Said};
use crate::{
    change::{Change, PodState},
    fault::{Fault, Part},
    setup::{FIRST_SLOTS, POOLS, Setup, Slot},
};

/// Time after which no new connection may reach a backend whose pod is not Ready any more, while nothing is wrong between
/// the pods and Traefik. It takes tens of milliseconds; the rest is for a machine that is busy with other things.
///
/// While something is wrong there, it is unbounded until all is as the model says again, and from then on it is nothing.
pub(crate) const GONE_BOUND: Duration = Duration::from_secs(10);

/// All that is known about what should be.
#[derive(Debug)]
pub(crate) struct Model {
    setup: Setup,
    pods: BTreeMap<Slot, PodState>,
    /// Faults at work.
    at_work: Vec<Fault>,
    /// Faults that have begun since everything was as it should be; some may have been healed.
    unsettled: Vec<Fault>,
    /// Pools that have had no Ready pod since then.
    emptied: BTreeSet<usize>,
    /// Ends of the trouble of a pool at a Traefik.
    trouble_ended: BTreeMap<(usize, usize), Instant>,
    /// Moments from which on no new connection may reach a backend by a Traefik.
    forbidden_from: BTreeMap<(usize, Slot), Instant>,
    /// Moments at which a Traefik was killed last.
    killed: BTreeMap<usize, Instant>,
    /// Moments at which a backend was ended last.
    ended: BTreeMap<Slot, Instant>,
}

impl Model {
    /// Creates the model of a system that has just been started.
    pub(crate) fn new(setup: Setup) -> Self {
        let state = |slot: &Slot| if slot.number < FIRST_SLOTS { PodState::Ready } else { PodState::Absent };
        Self {
            setup,
            pods: Slot::all().map(|slot| (slot, state(&slot))).collect(),
            at_work: Vec::new(),
            unsettled: Vec::new(),
            emptied: BTreeSet::new(),
            trouble_ended: BTreeMap::new(),
            forbidden_from: BTreeMap::new(),
            killed: BTreeMap::new(),
            ended: BTreeMap::new(),
        }
    }

    /// Returns the arrangement of the components.
    pub(crate) fn setup(&self) -> Setup {
        self.setup
    }

    /// Returns the state of a pod.
    pub(crate) fn pod(&self, slot: Slot) -> PodState {
        self.pods.get(&slot).copied().unwrap_or(PodState::Absent)
    }

    /// Returns the Ready pods of a pool.
    pub(crate) fn ready_pods(&self, pool: usize) -> BTreeSet<Slot> {
        Slot::all().filter(|slot| slot.pool == pool && self.pod(*slot) == PodState::Ready).collect()
    }

    /// Records that a fault begins. Called before it is made.
    pub(crate) fn begin(&mut self, fault: Fault, now: Instant) {
        self.at_work.push(fault);
        self.unsettled.push(fault);
        self.made(fault, now);
    }

    /// Records that a fault has been made: connections that were opened until now may have been ended by it.
    pub(crate) fn made(&mut self, fault: Fault, now: Instant) {
        match fault {
            Fault::TraefikKilled(traefik) | Fault::TraefikRestarted(traefik) => self.kill_traefik(traefik, now),
            Fault::ServerRefuses(slot) | Fault::ServerSwallows(slot) => self.end_server(slot, now),
            _ => {}
        }
    }

    /// Records that a Traefik is killed. Called before that.
    pub(crate) fn kill_traefik(&mut self, traefik: usize, now: Instant) {
        self.killed.insert(traefik, now);
    }

    /// Records that a backend is ended. Called before that.
    pub(crate) fn end_server(&mut self, slot: Slot, now: Instant) {
        self.ended.insert(slot, now);
    }

    /// Records that a fault has been healed.
    pub(crate) fn heal(&mut self, fault: Fault) {
        self.at_work.retain(|other| *other != fault);
    }

    /// Records a change of a pod. Called before it is made.
    pub(crate) fn change(&mut self, change: Change, now: Instant) {
        let Change { slot, to } = change;
        self.pods.insert(slot, to);
        if self.ready_pods(slot.pool).is_empty() {
            self.emptied.insert(slot.pool);
        }
        for traefik in 0..self.setup.traefiks() {
            let key = (traefik, slot);
            if to == PodState::Ready {
                self.forbidden_from.remove(&key);
            } else if self.is_path_whole(traefik) {
                self.forbidden_from.entry(key).or_insert(now + GONE_BOUND);
            }
        }
    }

    /// Returns whether changes of pods reach this Traefik without delay.
    fn is_path_whole(&self, traefik: usize) -> bool {
        let breaks = |part| part == Part::ControlPlane || part == Part::Ilb || part == Part::Traefik(traefik);
        !self.unsettled.iter().any(|fault| breaks(fault.part()))
    }

    /// Records that everything is as it should be without faults.
    pub(crate) fn settle(&mut self, now: Instant) {
        for traefik in 0..self.setup.traefiks() {
            for pool in 0..POOLS.len() {
                if self.trouble(traefik, pool).is_some() {
                    self.trouble_ended.insert((traefik, pool), now);
                }
            }
            for slot in Slot::all().filter(|slot| self.pods.get(slot) != Some(&PodState::Ready)) {
                let from = self.forbidden_from.entry((traefik, slot)).or_insert(now);
                *from = now.min(*from);
            }
        }
        self.unsettled = self.at_work.clone();
        self.emptied = (0..POOLS.len()).filter(|pool| self.ready_pods(*pool).is_empty()).collect();
    }

    /// Returns why new connections to a pool by a Traefik may fail at the moment.
    pub(crate) fn trouble(&self, traefik: usize, pool: usize) -> Option<String> {
        let hurts = |fault: &&Fault| match fault {
            Fault::TraefikKilled(of)
            | Fault::TraefikStopped(of)
            | Fault::TraefikRestarted(of)
            | Fault::TraefikStuck(of)
            | Fault::ForeignWrite(of)
            | Fault::ForeignWriter(of) => *of == traefik,
            fault => matches!(fault.part(), Part::Server(slot) if slot.pool == pool),
        };
        if let Some(fault) = self.unsettled.iter().find(hurts) {
            return Some(fault.to_string());
        }
        self.emptied.contains(&pool).then(|| "the pool had no Ready pod".to_owned())
    }

    /// Returns whether a pool has been without Ready pods since all was settled, so that new connections fail by design.
    pub(crate) fn was_emptied(&self, pool: usize) -> bool {
        self.emptied.contains(&pool)
    }

    /// Judges an attempt to connect that has failed: returns the reason why it may, or none.
    pub(crate) fn excuse(&self, traefik: usize, pool: usize, started: Instant) -> Option<String> {
        let earlier = self.trouble_ended.get(&(traefik, pool)).filter(|ended| **ended >= started);
        self.trouble(traefik, pool).or_else(|| earlier.map(|_| "trouble before it".to_owned()))
    }

    /// Judges an attempt to connect that has reached a backend: returns whether it must not.
    pub(crate) fn is_forbidden(&self, traefik: usize, slot: Slot, started: Instant) -> bool {
        self.forbidden_from.get(&(traefik, slot)).is_some_and(|from| *from <= started)
    }

    /// Judges a connection that has ended: returns the reason why it may, or none.
    pub(crate) fn reason_for_end(&self, traefik: usize, slot: Slot, opened: Instant) -> Option<&'static str> {
        let since = |moment: Option<&Instant>| moment.is_some_and(|moment| *moment >= opened);
        if since(self.killed.get(&traefik)) {
            Some("its Traefik was killed")
        } else if since(self.ended.get(&slot)) {
            Some("its backend was ended")
        } else {
            None
        }
    }

    /// Returns whether an open connection may be without answer at the moment.
    pub(crate) fn may_be_silent(&self, traefik: usize) -> bool {
        self.unsettled.contains(&Fault::TraefikStopped(traefik))
    }

    /// Returns whether pods can be changed at the moment.
    pub(crate) fn is_api_writable(&self) -> bool {
        let away = |fault: &Fault| {
            matches!(
                fault,
                Fault::ApiServerKilled | Fault::ApiServerStopped | Fault::EtcdStopped | Fault::EtcdRestarted
            )
        };
        !self.at_work.iter().any(away)
    }
}

#[cfg(test)]
mod tests;
