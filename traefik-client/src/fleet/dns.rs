use std::{
    collections::BTreeSet,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::future::BoxFuture;

use crate::{BuildError, ConfigSink, TraefikBuilder};

type Lookup = dyn Fn() -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync;
type MakeSink = dyn Fn(SocketAddr) -> Result<Arc<dyn ConfigSink>, BuildError> + Send + Sync;

/// A name that stands for many Traefiks.
pub(super) struct ResolvedName {
    lookup: Box<Lookup>,
    sink: Box<MakeSink>,
    /// The addresses whose instances came from here.
    brought: Mutex<BTreeSet<SocketAddr>>,
}

impl ResolvedName {
    /// The host and port of the builder's URL.
    pub(super) fn new(traefik: TraefikBuilder) -> Result<Self, BuildError> {
        let (host, port) = traefik.target()?;
        // Also finds now what would be wrong with each of them.
        traefik.clone().build()?;
        Ok(Self::with(
            move || {
                let host = host.clone();
                Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
            },
            move |address| Ok(Arc::new(traefik.clone().pinned_to(address).build()?)),
        ))
    }

    pub(super) fn with(
        lookup: impl Fn() -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync + 'static,
        sink: impl Fn(SocketAddr) -> Result<Arc<dyn ConfigSink>, BuildError> + Send + Sync + 'static,
    ) -> Self {
        Self { lookup: Box::new(lookup), sink: Box::new(sink), brought: Mutex::default() }
    }

    /// The addresses, unless the look-up fails.
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

    pub(super) fn brought(&self) -> MutexGuard<'_, BTreeSet<SocketAddr>> {
        self.brought.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
