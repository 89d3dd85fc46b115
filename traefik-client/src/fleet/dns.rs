//! A DNS name with an address for each Traefik of a fleet.

use std::{
    collections::BTreeSet,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_util::future::BoxFuture;

use crate::{
    ConfigSink,
    client::{BuildError, TraefikBuilder},
};

type Lookup = dyn Fn() -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync;
type MakeSink = dyn Fn(SocketAddr) -> Result<Arc<dyn ConfigSink>, BuildError> + Send + Sync;

/// A name that resolves to the addresses of many Traefiks.
pub(super) struct ResolvedName {
    lookup: Box<Lookup>,
    sink: Box<MakeSink>,
    /// Addresses of the instances that this name has added to the fleet.
    added: Mutex<BTreeSet<SocketAddr>>,
    /// The last lookup failed.
    fails: AtomicBool,
}

impl ResolvedName {
    /// Creates the name from the host and port of the builder's URL. Returns an error if no client can be built.
    pub(super) fn try_new(traefik: TraefikBuilder) -> Result<Self, BuildError> {
        let (host, port) = traefik.target()?;
        traefik.clone().build()?;
        Ok(Self::with_lookup(
            move || {
                let host = host.clone();
                Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
            },
            move |address| Ok(Arc::new(traefik.clone().pinned_to(address).build()?)),
        ))
    }

    pub(super) fn with_lookup(
        lookup: impl Fn() -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync + 'static,
        sink: impl Fn(SocketAddr) -> Result<Arc<dyn ConfigSink>, BuildError> + Send + Sync + 'static,
    ) -> Self {
        let (added, fails) = (Mutex::default(), AtomicBool::new(false));
        Self { lookup: Box::new(lookup), sink: Box::new(sink), added, fails }
    }

    /// Returns the addresses, or `None` if the lookup fails. The first failure is logged, and the first success after it.
    pub(super) async fn look_up(&self) -> Option<Vec<SocketAddr>> {
        match (self.lookup)().await {
            Ok(addresses) => {
                if self.fails.swap(false, Ordering::Relaxed) {
                    tracing::info!("the name of the Traefiks can be looked up again");
                }
                Some(addresses)
            }
            Err(error) => {
                if !self.fails.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "the name of the Traefiks cannot be looked up: keeping those that are known");
                }
                None
            }
        }
    }

    pub(super) fn sink(&self, address: SocketAddr) -> Result<Arc<dyn ConfigSink>, BuildError> {
        (self.sink)(address)
    }

    pub(super) fn added(&self) -> MutexGuard<'_, BTreeSet<SocketAddr>> {
        self.added.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use tracing::{
        Event, Metadata, Subscriber,
        span::{Attributes, Id, Record},
    };

    use super::*;

    /// Counts the lines of this thread.
    #[derive(Clone, Default)]
    struct Lines(Arc<AtomicUsize>);

    impl Subscriber for Lines {
        fn event(&self, _: &Event<'_>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }

        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    #[tokio::test]
    async fn lookups_that_fail_are_logged_when_they_begin_to_fail_and_when_they_succeed_again() {
        let works = Arc::new(AtomicBool::new(false));
        let outcome = Arc::clone(&works);
        let name = ResolvedName::with_lookup(
            move || {
                let works = outcome.load(Ordering::Relaxed);
                Box::pin(async move { if works { Ok(Vec::new()) } else { Err(io::ErrorKind::NotFound.into()) } })
            },
            |_| Err(BuildError::NoAuthority),
        );
        let lines = Lines::default();
        let _guard = tracing::subscriber::set_default(lines.clone());
        let mut logged = Vec::new();
        for outcome in [true, false, false, false, true, true, false] {
            works.store(outcome, Ordering::Relaxed);
            name.look_up().await;
            logged.push(lines.0.swap(0, Ordering::Relaxed));
        }
        assert_eq!(logged, [0, 1, 0, 0, 1, 0, 1]);
    }
}
