//! The facts of a pool's connections.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use ilb_connections::{EndedBy, Load, Method, ProbeError, Probed, Sample};
use ilb_reconciler::LeastConnections;
use tokio::time::Instant;

use super::imbalance::ImbalanceHistory;

/// Facts about the connections of one pool.
#[derive(Clone, Debug, Default)]
pub(crate) struct LoadFacts {
    /// The last sample; `None` if there is none yet, or connections cannot be counted now.
    pub(crate) latest: Option<LatestSample>,
    /// The reason why connections cannot be counted now.
    pub(crate) problem: Option<String>,
    /// Connections opened and closed since the start, of the backends in the pool.
    pub(crate) totals: BTreeMap<SocketAddr, ConnectionTotals>,
    pub(crate) history: ImbalanceHistory,
    pub(crate) samples: u64,
    pub(crate) failures: u64,
    /// Processor time of all samples.
    pub(crate) cpu_time: Duration,
    pub(crate) probes: ProbeCounts,
}

/// Number of probes that ended, by result.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ProbeCounts {
    pub(crate) answered: u64,
    /// Accepted and closed at once by the backend.
    pub(crate) closed: u64,
    pub(crate) unanswered: u64,
    /// Not made, for want of local ports, open files or memory.
    pub(crate) not_made: u64,
}

/// Load of each backend in the last sample.
#[derive(Clone, Debug)]
pub(crate) struct LatestSample {
    pub(crate) at: Instant,
    /// The way in which the kernel's sockets were read.
    pub(crate) by: Option<&'static str>,
    pub(crate) loads: Arc<BTreeMap<SocketAddr, Load>>,
}

/// Connections of one backend that were opened and closed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ConnectionTotals {
    pub(crate) opened: u64,
    pub(crate) closed: u64,
    /// Connections among the closed ones that the backend closed first.
    pub(crate) closed_by_backend: u64,
    /// Connections among the closed ones that the backend never answered.
    pub(crate) unanswered: u64,
    /// Bytes moved in both directions.
    pub(crate) bytes: u64,
    /// Connections opened since the plan in force took effect. The balancer counts them; this is a copy from the last
    /// sample, reset with each push as the balancer's own count is.
    pub(crate) opened_since_push: u64,
}

impl LoadFacts {
    pub(super) fn sampled(
        &mut self,
        sample: &Sample,
        balancer: &LeastConnections,
        is_known: impl Fn(&SocketAddr) -> bool,
        now: Instant,
    ) {
        self.samples += 1;
        self.cpu_time += sample.cost();
        self.problem = None;
        for (address, load) in sample.iter().filter(|(address, _)| is_known(address)) {
            let totals = self.totals.entry(address).or_default();
            totals.opened += u64::from(load.opened);
            totals.closed += u64::from(load.closed);
            totals.bytes = totals.bytes.saturating_add(load.moved);
            totals.opened_since_push = balancer.opened_since_push(address).into();
        }
        for ending in sample.endings().iter().filter(|ending| is_known(&ending.backend)) {
            let totals = self.totals.entry(ending.backend).or_default();
            match ending.by {
                EndedBy::Backend => totals.closed_by_backend += 1,
                EndedBy::NeverAnswered => totals.unanswered += 1,
                EndedBy::Proxy | EndedBy::Unknown => {}
            }
        }
        let by = sample.method().map(Method::as_str);
        self.latest = Some(LatestSample { at: now, by, loads: Arc::new(sample.iter().collect()) });
    }

    pub(super) fn pushed(&mut self) {
        self.totals.values_mut().for_each(|totals| totals.opened_since_push = 0);
    }

    pub(super) fn failed(&mut self, reason: &str) {
        self.failures += 1;
        self.latest = None;
        self.problem = Some(reason.to_owned());
    }

    pub(super) fn probed(&mut self, outcome: &Result<Probed, ProbeError>) {
        *match outcome {
            Ok(probed) if probed.closed_by_backend => &mut self.probes.closed,
            Ok(_) => &mut self.probes.answered,
            Err(ProbeError::Local(_)) => &mut self.probes.not_made,
            Err(_) => &mut self.probes.unanswered,
        } += 1;
    }

    /// Forgets the backends that are no longer known.
    pub(super) fn retain(&mut self, is_known: impl Fn(&SocketAddr) -> bool) {
        self.totals.retain(|address, _| is_known(address));
        if let Some(latest) = &mut self.latest {
            Arc::make_mut(&mut latest.loads).retain(|address, _| is_known(address));
        }
    }

    /// Returns the load of a backend, if connections are counted.
    pub(crate) fn get(&self, backend: SocketAddr) -> Option<Load> {
        Some(self.latest.as_ref()?.loads.get(&backend).copied().unwrap_or_default())
    }
}
