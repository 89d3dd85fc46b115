use std::sync::Arc;

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::StreamExt;
use kube::{
    Api, Client,
    api::ListParams,
    runtime::watcher::{self, Event, watcher},
};

use super::{
    error,
    index::{PodIndex, Rules, set_of},
    slim::SlimPod,
};
use crate::{AddressPolicy, BackendSet, Discovery, Error, Selector, backoff::Backoff, publish};

/// The pods of one namespace that a label selector selects.
///
/// Ready and not being deleted → `ready`; being deleted → `draining`; running but not Ready → `not ready`. A pod that
/// has ended, or has no address yet, is no backend.
pub struct PodDiscovery {
    pods: Api<SlimPod>,
    selector: Selector,
    rules: Rules,
    what: String,
}

impl PodDiscovery {
    /// Pods in `namespace` that match `selector`; connections go to their `port`.
    pub fn new(client: Client, namespace: &str, selector: Selector, port: u16) -> Self {
        Self {
            pods: Api::namespaced(client, namespace),
            what: format!("listing pods in namespace {namespace}"),
            selector,
            rules: Rules { port, addresses: AddressPolicy::default() },
        }
    }

    /// Which addresses may be backends at all.
    #[must_use]
    pub fn with_addresses(mut self, policy: AddressPolicy) -> Self {
        self.rules.addresses = policy;
        self
    }
}

#[async_trait]
impl Discovery for PodDiscovery {
    async fn list(&self) -> Result<Arc<BackendSet>, Error> {
        let params = ListParams::default().labels(self.selector.as_str());
        let pods = self.pods.list(&params).await.map_err(|e| error::request(e, &self.what))?;
        Ok(Arc::new(set_of(&pods.items, &self.rules)))
    }

    fn watch(&self) -> BoxStream<'static, Result<Arc<BackendSet>, Error>> {
        // The watcher resumes a watch by its last resourceVersion, and a short life of each watch bounds how long a
        // dead connection can go unnoticed.
        let config = watcher::Config::default().labels(self.selector.as_str()).timeout(60).page_size(200);
        let events = watcher(self.pods.clone(), config);
        let (mut index, what) = (PodIndex::new(self.rules.clone()), self.what.clone());
        publish::follow(move |publisher| async move {
            let mut events = std::pin::pin!(events);
            let mut backoff = Backoff::new();
            while let Some(event) = events.next().await {
                match event {
                    Ok(event) => {
                        // `Init` only says that a list begins: it is not a success yet.
                        if !matches!(event, Event::Init) {
                            backoff.reset();
                        }
                        if let Some(set) = index.apply(event) {
                            publisher.fresh(&set);
                        }
                    }
                    Err(e) => {
                        publisher.stale(error::watching(e, &what));
                        tokio::time::sleep(backoff.pause()).await;
                    }
                }
            }
        })
    }
}
