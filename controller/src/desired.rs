//! The desired state: what should be in force in Traefik.

use std::{collections::BTreeMap, sync::Arc};

use ilb_discovery::BackendSet;
use ilb_reconciler::Decision;
use ilb_traefik_client::{Configuration, Member, Name, TcpPool};

use crate::spec::PoolSpec;

/// Desired state of all pools that are known well enough, by name. One push applies it as a whole.
pub type DesiredPools = BTreeMap<Name, Desired>;

/// Desired state of one pool.
///
/// Two are equal only if they carry the *same* decision, not one of the same content: a balancer waits for the
/// acknowledgement of each decision that it made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Desired {
    /// Description of the pool.
    pub spec: Arc<PoolSpec>,
    /// Backends that may take new connections.
    pub backends: Arc<BackendSet>,
    /// Weights of the backends, with the reason for them.
    pub decision: Arc<Decision>,
}

impl Desired {
    /// Creates the desired state of a pool.
    pub fn new(spec: Arc<PoolSpec>, backends: Arc<BackendSet>, decision: Arc<Decision>) -> Self {
        Self { spec, backends, decision }
    }

    /// Adds the pool's router, service and servers to `configuration`.
    pub fn add_to(&self, configuration: &mut Configuration) {
        let PoolSpec { name, entry_point, timeouts, proxy_protocol, .. } = &*self.spec;
        let members = self.decision.plan.entries().iter().map(|entry| Member::new(entry.address, entry.weight));
        let mut pool = TcpPool::new(name.clone(), entry_point.clone()).timeouts(*timeouts).members(members);
        if let Some(version) = proxy_protocol {
            pool = pool.proxy_protocol(*version);
        }
        pool.add_to(configuration);
    }
}

impl PartialEq for Desired {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.decision, &other.decision) && self.spec == other.spec && self.backends == other.backends
    }
}
