use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use tokio::sync::watch;

use super::{
    Fleet, Members, Quorum,
    dns::ResolvedName,
    instance::{Instance, Task},
};
use crate::{BuildError, ConfigSink, TraefikBuilder, error::with_sources};

/// Which Traefiks are a fleet, and how long they are waited for.
#[must_use]
pub struct FleetBuilder {
    fixed: BTreeMap<String, Arc<dyn ConfigSink>>,
    name: Option<ResolvedName>,
    quorum: Quorum,
    patience: Duration,
    check_every: Duration,
    resolve_every: Duration,
}

impl Default for FleetBuilder {
    fn default() -> Self {
        Self {
            fixed: BTreeMap::new(),
            name: None,
            quorum: Quorum::All,
            patience: Duration::from_millis(250),
            check_every: Duration::from_secs(1),
            resolve_every: Duration::from_secs(5),
        }
    }
}

impl FleetBuilder {
    /// Adds one Traefik.
    pub fn instance(self, traefik: TraefikBuilder) -> Result<Self, BuildError> {
        let traefik = traefik.build()?;
        Ok(self.sink(traefik.label().to_owned(), Arc::new(traefik)))
    }

    /// Adds something else under a name of its own.
    pub fn sink(mut self, label: String, sink: Arc<dyn ConfigSink>) -> Self {
        self.fixed.insert(label, sink);
        self
    }

    /// Adds all addresses that the host of the builder's URL resolves to, now and later. A look-up that fails changes
    /// nothing.
    pub fn resolved(mut self, traefik: TraefikBuilder) -> Result<Self, BuildError> {
        self.name = Some(ResolvedName::new(traefik)?);
        Ok(self)
    }

    /// How many instances make `apply` succeed.
    pub fn quorum(mut self, quorum: Quorum) -> Self {
        self.quorum = quorum;
        self
    }

    /// How much longer than the fastest one an instance is waited for (250 ms).
    pub fn patience(mut self, duration: Duration) -> Self {
        self.patience = duration;
        self
    }

    /// How often each instance is checked (1 s): a restarted or overwritten one is noticed after at most that.
    pub fn check_every(mut self, duration: Duration) -> Self {
        self.check_every = duration;
        self
    }

    /// How often the name is looked up (5 s).
    pub fn resolve_every(mut self, duration: Duration) -> Self {
        self.resolve_every = duration;
        self
    }

    #[cfg(test)]
    pub(super) fn resolved_by(mut self, name: ResolvedName) -> Self {
        self.name = Some(name);
        self
    }

    /// Starts it, within a Tokio runtime.
    pub fn start(self) -> Fleet {
        let (wishes, first) = watch::channel(None);
        let (wishes, members) = (Arc::new(wishes), Arc::new(Members::default()));
        let check_every = self.check_every;
        let start = move |label: String, sink| Arc::new(Instance::start(label, sink, first.clone(), check_every));
        for (label, sink) in self.fixed {
            members.lock().insert(label.clone(), start(label, sink));
        }
        let (known, is_known) = watch::channel(self.name.is_none());
        let resolver = self.name.map(|name| {
            let (members, resolve_every) = (members.clone(), self.resolve_every);
            Task::spawn(async move {
                loop {
                    if let Some(addresses) = name.look_up().await {
                        follow(&members, &addresses, &name, &start);
                        known.send_replace(true);
                    }
                    tokio::time::sleep(resolve_every).await;
                }
            })
        });
        Fleet {
            members,
            wishes,
            known: is_known,
            generation: 0.into(),
            patience: self.patience,
            quorum: self.quorum,
            _resolver: resolver,
        }
    }
}

/// Starts instances that are new, and ends those that are gone. Those that were given by URL stay: their labels are no
/// addresses that this name has brought.
fn follow(
    members: &Members,
    addresses: &[SocketAddr],
    name: &ResolvedName,
    start: &impl Fn(String, Arc<dyn ConfigSink>) -> Arc<Instance>,
) {
    let mut brought = name.brought();
    let mut members = members.lock();
    brought.retain(|address| {
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
                brought.insert(*address);
            }
            Err(error) => {
                tracing::error!(traefik = label, error = with_sources(&error), "a Traefik cannot join the fleet");
            }
        }
    }
}
