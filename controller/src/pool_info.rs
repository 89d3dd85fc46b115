//! The facts about a pool that observers are given.

use std::{fmt, sync::Arc};

use ilb_discovery::Discovery;
use ilb_reconciler::{ClosingPolicy, Method};

use crate::spec::PoolSpec;

/// Facts about a pool that do not change while the controller serves it.
#[derive(Clone)]
#[non_exhaustive]
pub struct PoolInfo {
    /// Description of the pool.
    pub spec: Arc<PoolSpec>,
    /// Balancing method that its policy was made for.
    pub method: Method,
    /// Source of its backends, from which the time of the last contact can be read.
    pub discovery: Arc<dyn Discovery>,
    /// Rules by which its live connections are closed. By default none ever is.
    pub closing: Arc<ClosingPolicy>,
    /// Excess in percent up to which backends of the own zone are preferred; `None` if they are not.
    pub zone_max_excess_percent: Option<u32>,
}

impl PoolInfo {
    /// Collects the facts about a pool.
    pub fn new(spec: Arc<PoolSpec>, method: Method, discovery: Arc<dyn Discovery>) -> Self {
        Self { spec, method, discovery, closing: Arc::default(), zone_max_excess_percent: None }
    }
}

impl fmt::Debug for PoolInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolInfo").field("spec", &self.spec).field("method", &self.method).finish_non_exhaustive()
    }
}
