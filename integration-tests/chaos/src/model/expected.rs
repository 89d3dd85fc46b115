//! What ilb and the Traefiks must show while certain faults are at work.

use std::collections::BTreeSet;

use super::Model;
use crate::{
    fault::{Fault, Part},
    setup::{POOLS, Setup, Slot},
};

/// Answers that ilb and the Traefiks must give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    /// False while ilb is killed or stopped: then nothing is compared but the Traefiks.
    pub(crate) ilb_answers: bool,
    /// Readiness; `None` while both are right.
    pub(crate) ready: Option<bool>,
    /// Traefiks whose configuration is known.
    pub(crate) traefiks: BTreeSet<usize>,
    /// Ready backends of each pool; `None` while ilb need not know them.
    pub(crate) pools: Vec<Option<BTreeSet<Slot>>>,
    /// Ready backends that ilb may leave out.
    pub(crate) doubtful: BTreeSet<Slot>,
    /// Ready backends that must get no new connection once their fault is shown.
    pub(crate) left_out: BTreeSet<Slot>,
    /// Pools that are balanced by the counts of their connections; all others get equal weights.
    pub(crate) counted: BTreeSet<usize>,
    /// Things that must be called degraded, each with the fault behind it.
    pub(crate) degraded: Vec<(Said, Option<Fault>)>,
    /// Things that may be called degraded beside that.
    pub(crate) may_be_degraded: BTreeSet<Said>,
    /// Fault that explains why ilb must not be ready.
    pub(crate) unready_by: Option<Fault>,
    /// Traefiks that ilb must say another program keeps writing to, each with the fault. The first foreign configuration is
    /// replaced at once, and then ilb is ready until it finds the second one.
    pub(crate) rivals: Vec<(usize, Fault)>,
}

/// A reason for being degraded, as ilb states it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Said {
    /// A Traefik of the fleet does not have the configuration.
    Traefik(usize),
    /// The backends of a pool are not updated.
    Stale(usize),
    /// The backends of a pool are not known.
    Unknown(usize),
    /// A pool has no backend, or none that works.
    NoBackend(usize),
    /// Some backends of a pool do not answer, or end connections early.
    Failing(usize),
    /// The connections of a pool cannot be counted.
    NotCounted(usize),
    /// A pool is not in force.
    NotInForce(usize),
    /// The settings file was refused.
    Settings,
    /// The pool that is only in the settings is not served.
    ExtraPool,
    /// Another reason, as it is stated.
    Other(String),
}

impl Model {
    /// Returns what must be shown, once ilb has had the time to notice.
    pub(crate) fn expected(&self) -> Expected {
        let of_part = |part: Part| self.at_work.iter().copied().find(|fault| fault.part() == part);
        let control_plane = of_part(Part::ControlPlane);
        let was_ilb_hit = self.unsettled.iter().any(|fault| fault.part() == Part::Ilb);
        let mut expected = Expected {
            ilb_answers: !self.at_work.iter().any(|fault| matches!(fault, Fault::IlbKilled | Fault::IlbStopped)),
            ready: None,
            traefiks: BTreeSet::new(),
            pools: Vec::new(),
            doubtful: self.doubtful(),
            left_out: BTreeSet::new(),
            counted: (0..POOLS.len()).filter(|pool| self.setup.counts(*pool)).collect(),
            degraded: Vec::new(),
            may_be_degraded: BTreeSet::new(),
            unready_by: None,
            rivals: Vec::new(),
        };
        self.expect_traefiks(&mut expected);
        self.expect_pools(&mut expected, control_plane);
        self.expect_servers(&mut expected);
        if let Some(fault) = of_part(Part::Settings).or(of_part(Part::Log)) {
            let said = if fault == Fault::PoolRefused { Said::ExtraPool } else { Said::Settings };
            expected.degraded.push((said, Some(fault)));
        }
        if was_ilb_hit && control_plane.is_some() {
            // An ilb that starts meanwhile knows no backends: what it shows first depends on what comes first.
            expected.ready = None;
            expected.may_be_degraded.extend(expected.degraded.drain(..).map(|(said, _)| said));
            for pool in 0..POOLS.len() {
                expected.may_be_degraded.extend([Said::Unknown(pool), Said::Stale(pool), Said::NotInForce(pool)]);
            }
        }
        expected
    }

    fn expect_traefiks(&self, expected: &mut Expected) {
        let (mut good, mut unclear) = (0, 0);
        for traefik in 0..self.setup.traefiks() {
            let fault = self.at_work.iter().copied().find(|fault| fault.part() == Part::Traefik(traefik));
            match fault {
                None => {
                    good += 1;
                    expected.traefiks.insert(traefik);
                }
                Some(fault) => match fault {
                    Fault::TraefikSlow(_)
                    | Fault::TraefikRestarted(_)
                    | Fault::TraefikStuck(_)
                    | Fault::ForeignWrite(_) => {
                        unclear += 1;
                        expected.may_be_degraded.insert(Said::Traefik(traefik));
                    }
                    _ => {
                        if let Fault::ForeignWriter(_) = fault {
                            expected.rivals.push((traefik, fault));
                        }
                        expected.unready_by = Some(fault);
                        if self.setup == Setup::Fleet {
                            expected.degraded.push((Said::Traefik(traefik), Some(fault)));
                        }
                    }
                },
            }
        }
        expected.ready = match (good, unclear) {
            (1.., _) => Some(true),
            (0, 0) => Some(false),
            _ => None,
        };
        if expected.ready != Some(true) {
            expected.may_be_degraded.extend((0..POOLS.len()).map(Said::NotInForce));
        }
    }

    fn expect_pools(&self, expected: &mut Expected, control_plane: Option<Fault>) {
        for (pool, spec) in POOLS.iter().enumerate() {
            let ready = self.ready_pods(pool);
            let is_stale = match control_plane {
                None => Some(false),
                Some(
                    Fault::ApiServerKilled
                    | Fault::ApiServerStopped
                    | Fault::ApiBlackHole
                    | Fault::ApiCut
                    | Fault::TokenRevoked,
                ) => Some(true),
                Some(Fault::RightsRevoked(of)) => Some(of == pool),
                Some(_) => None,
            };
            match is_stale {
                Some(true) => expected.degraded.push((Said::Stale(pool), control_plane)),
                Some(false) => {}
                None => drop(expected.may_be_degraded.insert(Said::Stale(pool))),
            }
            if is_stale == Some(false) {
                if ready.is_empty() {
                    expected.degraded.push((Said::NoBackend(pool), None));
                }
                expected.pools.push(Some(ready));
            } else {
                expected.may_be_degraded.insert(Said::NoBackend(pool));
                expected.pools.push(None);
            }
            if self.setup == Setup::Fleet && spec.counts {
                expected.degraded.push((Said::NotCounted(pool), None));
            }
        }
    }

    fn expect_servers(&self, expected: &mut Expected) {
        for fault in &self.at_work {
            let Part::Server(slot) = fault.part() else { continue };
            if !self.setup.counts(slot.pool) {
                continue;
            }
            let works = |other: &&Slot| !expected.doubtful.contains(other);
            let peers = self.ready_pods(slot.pool).iter().filter(works).count();
            let is_ready = self.ready_pods(slot.pool).contains(&slot);
            // Whether a full one is noticed depends on how many connections it gets, and a failing one is told by its peers.
            // Connections are only made while Traefik works and ilb programs it.
            let is_alone = self.at_work.len() == 1 && self.unsettled.len() == 1;
            if is_ready && is_alone && peers >= 2 && !matches!(fault, Fault::ServerFull(_)) {
                expected.degraded.push((Said::Failing(slot.pool), Some(*fault)));
                expected.left_out.insert(slot);
            } else {
                expected.may_be_degraded.insert(Said::Failing(slot.pool));
            }
            expected.may_be_degraded.insert(Said::NoBackend(slot.pool));
        }
    }

    /// Returns the backends that do not work although their pods are Ready.
    fn doubtful(&self) -> BTreeSet<Slot> {
        let slot = |fault: &Fault| match fault.part() {
            Part::Server(slot) => Some(slot),
            _ => None,
        };
        self.at_work.iter().filter_map(slot).collect()
    }
}
