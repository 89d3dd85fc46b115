//! The instances of a fleet, which join and leave with the addresses of a name.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{dns::ResolvedName, instance::Instance};
use crate::{ConfigSink, error::with_sources};

/// Instances of a fleet, by label.
#[derive(Default)]
pub(super) struct Members(Mutex<BTreeMap<String, Arc<Instance>>>);

impl Members {
    pub(super) fn all(&self) -> Vec<Arc<Instance>> {
        self.lock().values().cloned().collect()
    }

    pub(super) fn insert(&self, label: String, instance: Arc<Instance>) {
        self.lock().insert(label, instance);
    }

    /// Starts an instance for each new address and stops those whose address is gone. Instances that were given by URL
    /// stay: `name` has not added their labels.
    pub(super) fn update(
        &self,
        addresses: &[SocketAddr],
        name: &ResolvedName,
        start: &impl Fn(String, Arc<dyn ConfigSink>) -> Arc<Instance>,
    ) {
        let (mut added, mut members) = (name.added(), self.lock());
        added.retain(|address| {
            let stays = addresses.contains(address);
            if !stays {
                tracing::info!(traefik = %address, "a Traefik has left the fleet");
                members.remove(&address.to_string());
            }
            stays
        });
        for address in addresses {
            let label = address.to_string();
            if members.contains_key(&label) {
                continue;
            }
            match name.sink(*address) {
                Ok(sink) => {
                    tracing::info!(traefik = label, "a Traefik has joined the fleet");
                    members.insert(label.clone(), start(label, sink));
                    added.insert(*address);
                }
                Err(error) => {
                    tracing::error!(traefik = label, error = with_sources(&error), "a Traefik cannot join the fleet");
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Instance>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
