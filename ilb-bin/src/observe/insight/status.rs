//! The status document: everything that is known at one moment, as `/status` and `/events` show it.
//!
//! `docs/status.schema.json` describes it. Fields are only ever added, so that an ilb also understands the status of a
//! newer one. Times are ages in seconds, not dates: they stay true when a clock jumps. Sentences are part of
//! it, so that the page and the command line show the same ones.

mod backend;
mod build;
mod closing;
mod events;
mod history;
mod instance;
mod plan_in_force;
mod reasons;
mod sharing;
mod text;
mod zones;

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

pub(crate) use self::{
    closing::{CloserStatus, ClosingStatus},
    events::{EventStatus, LastEvents},
    instance::{BackendLinkStatus, ComplaintStatus, ComplaintsStatus, InstanceIdentity, SourceStatus},
    reasons::ReasonStatus,
    sharing::{SharingStatus, SiblingsStatus},
    zones::ZonesStatus,
};
use super::words::{
    BackendState, BalancingMethod, CountingState, DiscoveryState, Level, PushReason, PushResult, PushState, Severity,
    TraefikState,
};

/// Status of a running ilb at one moment.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Status {
    /// Version of this form.
    pub(crate) schema: u32,
    /// Version of ilb.
    pub(crate) version: String,
    /// Place that this process runs in.
    #[serde(default)]
    pub(crate) instance: InstanceIdentity,
    /// Links of each backend, as templates.
    #[serde(default)]
    pub(crate) backend_links: Vec<BackendLinkStatus>,
    pub(crate) uptime_seconds: f64,
    /// The state as a whole.
    #[serde(default)]
    pub(crate) level: Level,
    /// True while any pool is proved to be in force in the Traefik process that runs now.
    pub(crate) ready: bool,
    /// The reasons why ilb is not ready.
    pub(crate) not_ready: Vec<String>,
    /// The reasons for which clients may be hurt although ilb works.
    #[serde(default)]
    pub(crate) degraded: Vec<String>,
    pub(crate) summary: StatusSummary,
    /// Everything that is wrong, with the page that says what to do about it.
    #[serde(default)]
    pub(crate) reasons: Vec<ReasonStatus>,
    pub(crate) traefik: TraefikStatus,
    /// The process that closes connections; absent without one.
    #[serde(default)]
    pub(crate) closer: Option<CloserStatus>,
    /// The other replicas before the same backends; absent without an exchange.
    #[serde(default)]
    pub(crate) siblings: Option<SiblingsStatus>,
    pub(crate) pools: Vec<PoolStatus>,
    /// The last events; `/events` has those of a day.
    #[serde(default)]
    pub(crate) events: LastEvents,
}

/// A state in words.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct StatusSummary {
    pub(crate) severity: Severity,
    /// The state in a few words, such as `Backends up to date`.
    pub(crate) text: String,
    /// More about it, such as `last contact 9 s ago`; may be empty.
    pub(crate) detail: String,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct TraefikStatus {
    pub(crate) state: TraefikState,
    pub(crate) push_state: PushState,
    pub(crate) summary: StatusSummary,
    pub(crate) problem: Option<Problem>,
    /// True while another program keeps replacing the configuration.
    #[serde(default)]
    pub(crate) has_rival: bool,
    /// Instances of a fleet; empty if there is only one Traefik.
    #[serde(default)]
    pub(crate) instances: Vec<InstanceStatus>,
    pub(crate) in_force_seconds: Option<f64>,
    pub(crate) proof_age_seconds: Option<f64>,
    pub(crate) revision: Option<String>,
    pub(crate) version: Option<String>,
    /// Start of the process, as Traefik reports it.
    pub(crate) started: Option<String>,
    pub(crate) restarts_seen: u64,
    /// The last pushes, newest first.
    pub(crate) pushes: Vec<PushStatus>,
    /// Number of pushes in the last minute.
    #[serde(default)]
    pub(crate) pushes_last_minute: PushCountsStatus,
}

/// Number of pushes in some time.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct PushCountsStatus {
    /// Pushes that follow the numbers of connections.
    pub(crate) balance: u32,
    /// Pushes for another reason: backends have changed, or a configuration was lost.
    pub(crate) other: u32,
}

/// Status of one Traefik of a fleet.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct InstanceStatus {
    /// Host and port.
    pub(crate) instance: String,
    /// True while the whole configuration is in force there, and no other program keeps replacing it.
    pub(crate) in_force: bool,
    pub(crate) has_rival: bool,
    pub(crate) summary: StatusSummary,
    pub(crate) problem: Option<Problem>,
    pub(crate) version: Option<String>,
    /// Start of the process, as Traefik reports it.
    pub(crate) started: Option<String>,
}

/// A problem that has not been solved yet.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Problem {
    pub(crate) kind: String,
    pub(crate) text: String,
    pub(crate) for_seconds: f64,
    pub(crate) attempts: u64,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct PushStatus {
    pub(crate) age_seconds: f64,
    pub(crate) took_seconds: f64,
    pub(crate) reason: PushReason,
    pub(crate) result: PushResult,
    pub(crate) entries: usize,
    pub(crate) error: Option<String>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct PoolStatus {
    pub(crate) name: String,
    pub(crate) entry_point: String,
    /// Source of the backends; absent if it has no description.
    #[serde(default)]
    pub(crate) source: Option<SourceStatus>,
    /// Objects of the source with a mistake, such as pods that are refused.
    #[serde(default)]
    pub(crate) complaints: ComplaintsStatus,
    pub(crate) method: BalancingMethod,
    pub(crate) in_force: bool,
    /// The state of the pool as a whole.
    #[serde(default)]
    pub(crate) level: Level,
    /// The worst of the reasons below: error if no new client is served.
    #[serde(default)]
    pub(crate) severity: Severity,
    /// The reasons for which its clients may be hurt.
    #[serde(default)]
    pub(crate) degraded: Vec<String>,
    /// Counts of backends and connections in words.
    pub(crate) text: String,
    /// Consequence of an extraordinary state, such as a pool without backends.
    pub(crate) note: Option<String>,
    pub(crate) discovery: DiscoveryStatus,
    /// The balancing in words.
    pub(crate) balancing: StatusSummary,
    pub(crate) counting: CountingStatus,
    /// Closings of live connections; absent if none is ever closed.
    #[serde(default)]
    pub(crate) closing: Option<ClosingStatus>,
    /// Limit of the connections; absent if there is none for one of the backends.
    #[serde(default)]
    pub(crate) limit: Option<LimitStatus>,
    /// Balancing together with siblings; absent if the pool takes no part.
    #[serde(default)]
    pub(crate) sharing: Option<SharingStatus>,
    /// Preference for backends of the own zone; absent if there is none.
    #[serde(default)]
    pub(crate) zones: Option<ZonesStatus>,
    pub(crate) count: StateCounts,
    pub(crate) imbalance: ImbalanceStatus,
    /// Means of the last 10 s; absent where connections are not counted.
    #[serde(default)]
    pub(crate) rates: Option<RatesStatus>,
    /// Number of backends left out of the list, because it would be too long for a page. `/status` leaves out none.
    pub(crate) omitted: usize,
    pub(crate) backends: Vec<BackendStatus>,
}

/// Limit of the connections of a pool, through all replicas together.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct LimitStatus {
    pub(crate) summary: StatusSummary,
    /// Maximum number of connections of all backends that take connections.
    pub(crate) max_connections: u64,
    pub(crate) connections: u64,
    /// True while the part of this replica in the free places is used up.
    pub(crate) full: bool,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct DiscoveryStatus {
    pub(crate) state: DiscoveryState,
    pub(crate) summary: StatusSummary,
    pub(crate) problem: Option<Problem>,
    pub(crate) contact_age_seconds: Option<f64>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct CountingStatus {
    pub(crate) state: CountingState,
    /// The way in which the kernel's sockets are read.
    #[serde(default)]
    pub(crate) by: Option<String>,
    pub(crate) problem: Option<String>,
    pub(crate) age_seconds: Option<f64>,
}

/// Number of backends in each state. One that is suspect or failing counts as nothing else.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct StateCounts {
    pub(crate) ready: usize,
    pub(crate) draining: usize,
    pub(crate) not_ready: usize,
    pub(crate) suspect: usize,
    #[serde(default)]
    pub(crate) failing: usize,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct ImbalanceStatus {
    /// Excess of the fullest backend over the mean, relative to the mean, per share of capacity. With siblings, it is that of
    /// the connections of all replicas that are heard.
    pub(crate) ratio: Option<f64>,
    /// Excess of the fullest backend over the mean, in connections per share.
    pub(crate) connections: Option<f64>,
    /// The imbalance in words.
    pub(crate) text: String,
    pub(crate) step_seconds: u64,
    /// Mean ratio of each step, oldest first.
    pub(crate) history: Vec<Option<f64>>,
}

/// Connections and bytes per second.
#[allow(clippy::struct_field_names, reason = "each is a field of a document, with its unit")]
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct RatesStatus {
    pub(crate) opened_per_second: f64,
    pub(crate) closed_per_second: f64,
    /// Connections that were refused or never answered.
    pub(crate) failed_per_second: f64,
    /// Bytes in both directions, as far as the kernel has reported them.
    pub(crate) bytes_per_second: f64,
}

/// Status of one backend. What depends on counting is `None` where connections cannot be counted.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct BackendStatus {
    pub(crate) address: SocketAddr,
    /// Name of the pod behind it.
    #[serde(default)]
    pub(crate) pod: Option<String>,
    /// Namespace of that pod.
    #[serde(default)]
    pub(crate) namespace: Option<String>,
    /// Node of that pod.
    #[serde(default)]
    pub(crate) node: Option<String>,
    pub(crate) state: BackendState,
    /// Time for which it has been in this state, as far as this ilb has seen it.
    #[serde(default)]
    pub(crate) state_seconds: Option<f64>,
    pub(crate) zone: Option<String>,
    /// Number of restarts of the containers of its pod; absent where the source does not know it.
    #[serde(default)]
    pub(crate) restarts: Option<u16>,
    /// Shares of the connections relative to the other backends.
    pub(crate) capacity: u8,
    /// Weights in force, one per share; empty if the backend gets no new connections.
    pub(crate) weights: Vec<u32>,
    /// Number of new connections that the plan in force gives it before the fullest backend gets one.
    pub(crate) head_start: Option<u64>,
    /// Evidence against a backend that is suspect or failing.
    #[serde(default)]
    pub(crate) evidence: Option<String>,
    /// Established connections.
    pub(crate) established: Option<u32>,
    /// Connections of which one side has ended its half, and which are still in use.
    #[serde(default)]
    pub(crate) half_closed: Option<u32>,
    /// Connections that are being opened.
    pub(crate) opening: Option<u32>,
    /// Connections through all replicas that are heard, this one included; absent if no sibling is heard.
    #[serde(default)]
    pub(crate) total: Option<u64>,
    /// Connections opened since ilb started or the backend appeared.
    pub(crate) opened: Option<u64>,
    /// Connections closed since ilb started or the backend appeared.
    pub(crate) closed: Option<u64>,
    /// Connections among the closed ones that the backend closed or reset first.
    #[serde(default)]
    pub(crate) closed_by_backend: Option<u64>,
    /// Connections among the closed ones that the backend refused or never answered.
    #[serde(default)]
    pub(crate) unanswered: Option<u64>,
    /// Bytes moved in both directions since ilb started or the backend appeared.
    #[serde(default)]
    pub(crate) bytes: Option<u64>,
    /// Mean of the smoothed round-trip times of its connections.
    pub(crate) rtt_seconds: Option<f64>,
    /// Retransmitted segments of its present connections.
    pub(crate) retransmits: Option<u64>,
    /// The reason for its share of new connections.
    pub(crate) why: String,
}

/// Counts states.
impl FromIterator<BackendState> for StateCounts {
    fn from_iter<I: IntoIterator<Item = BackendState>>(states: I) -> Self {
        let mut count = Self::default();
        for state in states {
            *match state {
                BackendState::Ready => &mut count.ready,
                BackendState::Suspect => &mut count.suspect,
                BackendState::Failing => &mut count.failing,
                BackendState::Draining => &mut count.draining,
                BackendState::NotReady | BackendState::Unknown => &mut count.not_ready,
            } += 1;
        }
        count
    }
}

impl StateCounts {
    pub(crate) fn get(&self, state: BackendState) -> usize {
        match state {
            BackendState::Ready => self.ready,
            BackendState::Suspect => self.suspect,
            BackendState::Failing => self.failing,
            BackendState::Draining => self.draining,
            BackendState::NotReady => self.not_ready,
            BackendState::Unknown => 0,
        }
    }
}

impl BackendStatus {
    /// Returns established, half-closed and opening connections; `None` where connections are not counted.
    pub(crate) fn connections(&self) -> Option<u32> {
        let others = self.half_closed.unwrap_or(0).saturating_add(self.opening.unwrap_or(0));
        Some(self.established?.saturating_add(others))
    }

    /// Leaves out the least interesting backends so that at most `limit` are left, and returns how many were left out.
    /// Suspect and failing ones stay first, then those that are not ready, then those with most connections. The order of the
    /// list stays.
    pub(crate) fn leave_out(list: &mut Vec<Self>, limit: usize) -> usize {
        let omitted = list.len().saturating_sub(limit);
        if omitted > 0 {
            let mut order: Vec<_> = (0..list.len()).collect();
            order.sort_by_key(|index| list[*index].state.interest(list[*index].established));
            let mut stays = vec![false; list.len()];
            order.into_iter().take(limit).for_each(|index| stays[index] = true);
            let mut stays = stays.into_iter();
            list.retain(|_| stays.next() == Some(true));
        }
        omitted
    }
}

#[cfg(test)]
mod tests;
