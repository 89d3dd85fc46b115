//! A DNS name with an address for each Traefik of a fleet.

use std::{
    collections::BTreeSet,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
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
        Self { lookup: Box::new(lookup), sink: Box::new(sink), added: Mutex::default() }
    }

    /// Returns the addresses, or `None` if the lookup fails.
    pub(super) async fn look_up(&self) -> Option<Vec<SocketAddr>> {
        match (self.lookup)().await {
            Ok(addresses) => Some(addresses),
            Err(error) => {
                tracing::warn!(%error, "the name of the Traefiks cannot be looked up: keeping those that are known");
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
