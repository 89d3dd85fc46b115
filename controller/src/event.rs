//! The events of the loop, and those who observe them.

use std::{net::SocketAddr, sync::Arc};

use ilb_connections::Sample;
use ilb_discovery::BackendSet;
use ilb_reconciler::{Decision, LeastConnections, least_connections::ProbeResult};
use ilb_traefik_client::{Applied, Name};

use crate::{DesiredPools, Pool};

/// Something that happened to a pool, a backend or Traefik. Each occurrence is one event, and the loop reports it nowhere
/// else.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The loop has woken up and is working. It comes at least once per [`Controller::HEARTBEAT`](crate::Controller::HEARTBEAT).
    Alive,
    /// A pool is followed from now on. It takes the place of one with the same name.
    PoolAdded {
        /// The pool, before it knows any backend.
        pool: &'a Pool,
    },
    /// A pool is no longer followed.
    PoolRemoved {
        /// Its name.
        pool: &'a Name,
    },
    /// Discovery published a complete set of backends.
    Discovered {
        /// The pool that it belongs to.
        pool: &'a Name,
        /// The set, with the shares that count for the pool.
        set: &'a Arc<BackendSet>,
        /// The set before; `None` for the first one.
        previous: Option<&'a BackendSet>,
    },
    /// Discovery cannot see changes for the time being. The last set stays in use.
    DiscoveryStale {
        /// The pool whose backends may be out of date.
        pool: &'a Name,
        /// Why.
        error: &'a ilb_discovery::Error,
    },
    /// The connections of a pool were counted.
    Sampled {
        /// The pool.
        pool: &'a Name,
        /// The counts.
        sample: &'a Sample,
        /// The pool's balancer, which has taken the counts in.
        balancer: &'a LeastConnections,
    },
    /// The connections of a pool could not be counted this time: it is balanced by round robin until they can.
    CountingFailed {
        /// The pool.
        pool: &'a Name,
        /// Why.
        error: &'a ilb_connections::Error,
    },
    /// The connections of a pool can never be counted where this process runs: it is balanced by round robin.
    CountingImpossible {
        /// The pool.
        pool: &'a Name,
        /// Why.
        reason: &'a str,
    },
    /// The probe of a suspected backend ended.
    Probed {
        /// The pool.
        pool: &'a Name,
        /// The backend.
        backend: SocketAddr,
        /// Result of the probe.
        result: ProbeResult,
    },
    /// A pool has another plan than before. It is pushed as soon as Traefik can take it.
    Decided {
        /// The pool.
        pool: &'a Name,
        /// The plan, with what is known of each backend now.
        decision: &'a Arc<Decision>,
    },
    /// A push is on its way to Traefik.
    PushStarted {
        /// What it contains.
        desired: &'a DesiredPools,
    },
    /// A push is proved to be in force.
    Pushed {
        /// What is in force.
        desired: &'a DesiredPools,
        /// What was in force before; empty if that was unknown.
        previous: &'a DesiredPools,
        /// The proof.
        applied: &'a Applied,
    },
    /// A push failed and will be repeated.
    PushFailed {
        /// Why.
        error: &'a ilb_traefik_client::Error,
    },
    /// The last push was proved again to be in force.
    ProofHeld,
    /// The last push is no longer in force, or that cannot be found out. It will be repeated.
    ProofLost {
        /// Why.
        error: &'a ilb_traefik_client::Error,
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

/// Several observers, in the order in which they are told.
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
