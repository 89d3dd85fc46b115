//! Starts the exchange with the siblings.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Instant};

use anyhow::Context;
use futures_util::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use ilb_discovery::{AddressPolicy, Backend, BackendPort, BackendSet, Discovery, EndpointSliceDiscovery, KubeOptions};
use ilb_siblings::{OwnReports, SiblingEvent, draw_identity, poll};
use tokio::sync::watch;

use super::{cluster::Cluster, pools::PoolFactory};
use crate::settings::{Settings, SiblingService};

/// Reports of this replica: who writes them, and who reads them. There are none without siblings.
pub(super) struct Reports {
    pub(super) sender: watch::Sender<OwnReports>,
    pub(super) receiver: watch::Receiver<OwnReports>,
}

/// Item that a source publishes.
type Published = Result<Arc<BackendSet>, ilb_discovery::Error>;

/// Creates the reports under an identity of their own, if there may be siblings.
pub(super) fn reports(settings: &Settings) -> Option<Reports> {
    (!settings.siblings.is_empty()).then(|| {
        let (sender, receiver) = watch::channel(OwnReports::new(draw_identity(), Instant::now()));
        Reports { sender, receiver }
    })
}

/// Asks the endpoints of the Services, whatever their conditions are: a replica that drains or is not ready has
/// connections, too.
pub(super) async fn start(
    settings: &Settings,
    reports: &watch::Sender<OwnReports>,
    factory: &PoolFactory,
) -> anyhow::Result<impl Stream<Item = SiblingEvent> + Send + 'static + use<>> {
    let Cluster { client, namespace } = factory.connect_cluster().await?;
    let mut lists = Vec::new();
    for (number, service) in settings.siblings.iter().enumerate() {
        let SiblingService { name, namespace: other, port } = service;
        let port = port.clone().unwrap_or_else(|| BackendPort::from(settings.admin.address.port()));
        let namespace = other.as_ref().unwrap_or(namespace);
        let slices = EndpointSliceDiscovery::try_from_service(client.clone(), namespace, name, port.clone())
            .with_context(|| format!("cannot watch the Service {name} of the siblings"))?;
        // This replica is one of the endpoints, which is no mistake: its answer tells that it is no sibling.
        let slices = slices.with_options(KubeOptions::default().with_addresses(AddressPolicy::default().allow_own()));
        let replica = reports.borrow().replica();
        tracing::info!(%service, %port, %replica, "Balancing together with the replicas that this Service lists");
        lists.push(followed(number, service.to_string(), slices.watch()));
    }
    let replica = reports.borrow().replica();
    Ok(poll(replica, union(stream::select_all(lists), settings.siblings.len())))
}

/// Returns the sets of one Service with its number, and logs when they cannot be followed.
fn followed(
    number: usize,
    service: String,
    sets: BoxStream<'static, Published>,
) -> BoxStream<'static, (usize, BTreeSet<SocketAddr>)> {
    let mut is_stale = false;
    let listed = move |set: Published| {
        let list = match &set {
            Ok(set) => {
                if std::mem::take(&mut is_stale) {
                    tracing::info!(service, "The list of siblings is up to date again");
                }
                Some((number, set.iter().map(Backend::address).collect()))
            }
            Err(error) => {
                if !std::mem::replace(&mut is_stale, true) {
                    let error = error.with_causes();
                    tracing::warn!(service, %error, "The list of siblings may be out of date: keeping the last one");
                }
                None
            }
        };
        std::future::ready(list)
    };
    sets.filter_map(listed).boxed()
}

/// Returns the addresses of all Services together, each time that those of one of them change.
fn union(
    lists: impl Stream<Item = (usize, BTreeSet<SocketAddr>)> + Send + 'static,
    services: usize,
) -> impl Stream<Item = BTreeSet<SocketAddr>> + Send + 'static {
    lists.scan(vec![BTreeSet::new(); services], |known, (number, list)| {
        known[number] = list;
        std::future::ready(Some(known.iter().flatten().copied().collect()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_addresses_of_all_services_are_siblings() {
        let list = |last: &[u8]| last.iter().map(|last| SocketAddr::from(([10, 0, 0, *last], 8081))).collect();
        let lists = [(0, list(&[1, 2])), (1, list(&[3])), (0, list(&[2])), (1, list(&[]))];
        let unions: Vec<BTreeSet<SocketAddr>> = union(stream::iter(lists), 2).collect().await;
        assert_eq!(unions, [list(&[1, 2]), list(&[1, 2, 3]), list(&[2, 3]), list(&[2])]);
    }
}
