//! Settings of a [`Fleet`].

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::sync::watch;

use super::{
    Fleet, Quorum,
    dns::ResolvedName,
    instance::{Instance, Shared, Task},
    members::Members,
};
use crate::{
    ConfigSink,
    client::{BuildError, TraefikBuilder},
};

/// Builds a [`Fleet`]. Each of its durations is at most a day; a longer one counts as that.
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

/// Longest duration of a fleet: every clock can show a moment that is later by this.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

impl FleetBuilder {
    /// Adds one Traefik.
    pub fn instance(self, traefik: TraefikBuilder) -> Result<Self, BuildError> {
        let traefik = traefik.build()?;
        Ok(self.sink(traefik.label().to_owned(), Arc::new(traefik)))
    }

    /// Adds another kind of sink under a label of its own.
    pub fn sink(mut self, label: String, sink: Arc<dyn ConfigSink>) -> Self {
        self.fixed.insert(label, sink);
        self
    }

    /// Adds an instance for each address that the host of the builder's URL resolves to, now and later. A failed lookup
    /// changes nothing.
    pub fn resolved(mut self, traefik: TraefikBuilder) -> Result<Self, BuildError> {
        self.name = Some(ResolvedName::try_new(traefik)?);
        Ok(self)
    }

    /// Sets the number of instances that make `apply` succeed.
    pub fn quorum(mut self, quorum: Quorum) -> Self {
        self.quorum = quorum;
        self
    }

    /// Limits the time that `apply` waits for other instances after the first one has succeeded (250 ms).
    pub fn patience(mut self, duration: Duration) -> Self {
        self.patience = duration.min(LONGEST);
        self
    }

    /// Sets the interval of the checks of each instance (1 s): a restart or a foreign configuration is noticed after at most
    /// that.
    pub fn check_every(mut self, duration: Duration) -> Self {
        self.check_every = duration.min(LONGEST);
        self
    }

    /// Sets the interval of DNS lookups (5 s).
    pub fn resolve_every(mut self, duration: Duration) -> Self {
        self.resolve_every = duration.min(LONGEST);
        self
    }

    #[cfg(test)]
    pub(super) fn resolved_by(mut self, name: ResolvedName) -> Self {
        self.name = Some(name);
        self
    }

    /// Starts the tasks of the fleet. Has to be called within a Tokio runtime.
    pub fn start(self) -> Fleet {
        let (desired, first) = watch::channel(None);
        let (desired, members, changes) =
            (Arc::new(desired), Arc::new(Members::default()), Arc::new(watch::Sender::new(())));
        let shared = Shared { desired: first, changes: Arc::clone(&changes), check_every: self.check_every };
        let start = move |label: String, sink| Arc::new(Instance::start(label, sink, shared.clone()));
        for (label, sink) in self.fixed {
            members.insert(label.clone(), start(label, sink));
        }
        let (known, is_known) = watch::channel(self.name.is_none());
        let resolver = self.name.map(|name| {
            let (members, changes, resolve_every) = (members.clone(), changes.clone(), self.resolve_every);
            Task::spawn(async move {
                loop {
                    if let Some(addresses) = name.look_up().await {
                        members.update(&addresses, &name, &start);
                        known.send_replace(true);
                        changes.send_replace(());
                    }
                    tokio::time::sleep(resolve_every).await;
                }
            })
        });
        Fleet {
            members,
            desired,
            known: is_known,
            changes,
            proved: Mutex::default(),
            patience: self.patience,
            quorum: self.quorum,
            _resolver: resolver,
        }
    }
}

/// Shows the labels of the instances, but not their sinks, which may contain credentials.
impl fmt::Debug for FleetBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FleetBuilder")
            .field("fixed", &self.fixed.keys())
            .field("resolved", &self.name.is_some())
            .field("quorum", &self.quorum)
            .finish_non_exhaustive()
    }
}
