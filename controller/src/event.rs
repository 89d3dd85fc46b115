//! The events of the loop, and the observers that are notified of them.

use std::{net::SocketAddr, sync::Arc};

use ilb_connections::{Ability, ProbeError, Probed, Sample};
use ilb_discovery::BackendSet;
use ilb_reconciler::{
    Decision, LeastConnections,
    closing::{ClosingState, Half, Order, Outlook},
    least_connections::StandingChange,
    siblings::{Ignored, ReplicaId},
};
use ilb_siblings::SiblingEvent;
use ilb_traefik_client::{Applied, Name, fleet::InstanceState};

use crate::{
    closing::{ClosingFacts, ClosingResult, Run, RunEnd},
    desired::DesiredPools,
    pool_info::PoolInfo,
};

/// Event of a pool, a backend or Traefik. Each occurrence is one event, and the loop reports it nowhere else.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The loop has woken up and is working. There is at least one such event per
    /// [`Controller::HEARTBEAT`](crate::Controller::HEARTBEAT).
    Alive,
    /// The controller serves a pool from now on. It replaces the one with the same name.
    PoolAdded {
        /// The pool, whose backends are not known yet.
        pool: &'a PoolInfo,
    },
    /// The controller no longer serves a pool.
    PoolRemoved {
        /// Name of the pool.
        pool: &'a Name,
    },
    /// Discovery published a set of backends.
    Discovered {
        /// Name of the pool that the set belongs to.
        pool: &'a Name,
        /// The set, with the shares that the pool's description asks for.
        set: &'a Arc<BackendSet>,
        /// The set before; `None` for the first one.
        previous: Option<&'a BackendSet>,
        /// Error because of which a part of the source is still stale, such as one of several namespaces; `None` if the set is
        /// up to date. [`DiscoveryStale`](Self::DiscoveryStale) with this error follows.
        stale: Option<&'a ilb_discovery::Error>,
    },
    /// The number of backends that a pool has in common with other pools has changed. Connections to them count as load in
    /// each of these pools.
    BackendsShared {
        /// Name of the pool.
        pool: &'a Name,
        /// Number of its backends that another pool has, too.
        backends: usize,
    },
    /// Discovery cannot see changes of the source, or of a part of it, for the time being. What it cannot see stays as in the
    /// last set.
    DiscoveryStale {
        /// Name of the pool whose backends may be out of date.
        pool: &'a Name,
        /// The error of the source.
        error: &'a ilb_discovery::Error,
    },
    /// The connections of a pool were counted.
    Sampled {
        /// Name of the pool.
        pool: &'a Name,
        /// The counts.
        sample: &'a Sample,
        /// The pool's balancer, which has taken in the counts.
        balancer: &'a LeastConnections,
    },
    /// The connections of a pool could not be counted this time: it is balanced by round robin until they can.
    CountingFailed {
        /// Name of the pool.
        pool: &'a Name,
        /// The error of the source of the counts.
        error: &'a ilb_connections::Error,
    },
    /// The connections of a pool can never be counted where this process runs: it is balanced by round robin.
    CountingImpossible {
        /// Name of the pool.
        pool: &'a Name,
        /// Reason that was given to the policy.
        reason: &'a str,
    },
    /// A backend has become suspect or failing, or is no longer.
    StandingChanged {
        /// Name of the pool.
        pool: &'a Name,
        /// The backend, its standing before and from now on, and the evidence.
        change: &'a StandingChange,
    },
    /// A probe ended: of a backend that is in doubt, or of one that is left out.
    Probed {
        /// Name of the pool.
        pool: &'a Name,
        /// Address of the backend.
        backend: SocketAddr,
        /// Result of the probe. A [`ProbeError::Local`] says nothing about the backend.
        outcome: &'a Result<Probed, ProbeError>,
    },
    /// A pool has another plan than before. It is pushed as soon as Traefik can take it.
    Decided {
        /// Name of the pool.
        pool: &'a Name,
        /// The plan, with the present facts about each backend.
        decision: &'a Arc<Decision>,
    },
    /// A push has been sent to Traefik.
    PushStarted {
        /// Content of the push.
        desired: &'a DesiredPools,
    },
    /// The backends of a pool are not known yet, and it keeps those that Traefik has of it until they are.
    BackendsInherited {
        /// Name of the pool.
        pool: &'a Name,
        /// Number of backends in Traefik.
        backends: usize,
    },
    /// A push is proved to be in force, at least for some pools. It is repeated for the others, which `applied.faults`
    /// names with the reasons.
    Pushed {
        /// The state that is in force.
        desired: &'a DesiredPools,
        /// The state that was in force after the last push, even if it has been lost since.
        previous: &'a DesiredPools,
        /// The proof.
        applied: &'a Applied,
    },
    /// A push failed, or the question before the first push what Traefik has. It will be repeated.
    PushFailed {
        /// The error of the sink.
        error: &'a ilb_traefik_client::Error,
    },
    /// The last push was proved again to be in force.
    ProofHeld,
    /// The last push is no longer in force, or that cannot be found out. It will be repeated.
    ProofLost {
        /// The error of the sink.
        error: &'a ilb_traefik_client::Error,
    },
    /// Another client keeps replacing the configuration. It is pushed again only after pauses.
    RivalFound,
    /// No other client has replaced the configuration for a while.
    RivalGone,
    /// The connections of a pool were counted, and could not be described this time. Without descriptions none is closed.
    DescribingFailed {
        /// Name of the pool.
        pool: &'a Name,
        /// The error of the source of the counts.
        error: &'a ilb_connections::Error,
    },
    /// A [plan](crate::plan()) was made for a pool whose connections may be closed. A controller never reports this.
    ClosingsPlanned {
        /// Name of the pool.
        pool: &'a Name,
        /// Connections that its rules are about.
        outlook: &'a Outlook,
    },
    /// Connections of a pool are closed on purpose for one reason from now on.
    ClosingsBegan {
        /// Name of the pool.
        pool: &'a Name,
        /// The reason, and what is to be closed.
        run: &'a Run,
    },
    /// No more connections of a pool are closed for this reason.
    ClosingsEnded {
        /// Name of the pool.
        pool: &'a Name,
        /// The reason, and what was closed.
        run: &'a Run,
        /// The cause of the end.
        end: RunEnd,
    },
    /// The state of a pool with regard to closing connections has changed, apart from the number of those left to close.
    ClosingStateChanged {
        /// Name of the pool.
        pool: &'a Name,
        /// The state from now on.
        state: ClosingState,
    },
    /// The numbers behind the closings of a pool have changed.
    ClosingsCounted {
        /// Name of the pool.
        pool: &'a Name,
        /// The numbers from now on.
        facts: &'a ClosingFacts,
    },
    /// An order to close a live connection was executed, dropped or only shown.
    ConnectionClosed {
        /// Name of the pool. It may have been removed meanwhile.
        pool: &'a Name,
        /// The order, with its reason.
        order: &'a Order,
        /// Result of the order.
        result: &'a ClosingResult,
    },
    /// An order to end the half of a client's connection that a closing has left behind was executed.
    HalfClosed {
        /// The half.
        half: &'a Half,
        /// Result of the order.
        result: &'a ClosingResult,
    },
    /// The halves of clients' connections could not be listed: what is left of closings now is left to the proxy.
    ListingHalvesFailed {
        /// The error of their source.
        error: &'a ilb_connections::Error,
    },
    /// The ability of the closer to close connections has changed, or has become known.
    CloserChanged {
        /// The ability from now on.
        ability: &'a Ability,
    },
    /// A sibling is heard, has reported, is lost or has left: an event of the exchange with the siblings.
    Sibling {
        /// The event of the exchange.
        event: &'a SiblingEvent,
    },
    /// A report of a sibling was ignored. Its counts take no part until there is a report that is not.
    ReportIgnored {
        /// Name of the pool.
        pool: &'a Name,
        /// Identity of the sibling.
        replica: ReplicaId,
        /// The cause.
        cause: Ignored,
    },
    /// An instance of a fleet joined, changed or left.
    InstanceChanged {
        /// Host and port of the instance.
        instance: &'a str,
        /// State of the instance from now on; `None` if it has left.
        state: Option<&'a InstanceState>,
    },
}

/// Observes what the loop does: a log, metrics, a status page, a test.
///
/// Any `FnMut(&Event<'_>)` is an observer. It is called from the loop's own task, so it must neither block nor panic.
#[cfg_attr(any(test, feature = "test-util"), mockall::automock)]
pub trait Observer: Send {
    /// Takes in one event.
    #[allow(clippy::elidable_lifetime_names, reason = "mockall needs the name")]
    fn on<'a>(&mut self, event: &Event<'a>);
}

impl<F: FnMut(&Event<'_>) + Send> Observer for F {
    fn on(&mut self, event: &Event<'_>) {
        self(event);
    }
}

/// Notifies several observers, in the order in which they were added.
#[derive(Default)]
pub(crate) struct Observers(Vec<Box<dyn Observer>>);

impl Observers {
    pub(crate) fn add(&mut self, observer: impl Observer + 'static) {
        self.0.push(Box::new(observer));
    }
}

impl Observer for Observers {
    fn on(&mut self, event: &Event<'_>) {
        self.0.iter_mut().for_each(|observer| observer.on(event));
    }
}
