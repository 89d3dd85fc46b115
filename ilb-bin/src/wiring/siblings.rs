//! Starts the exchange with the siblings.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use futures_util::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use ilb_discovery::{AddressPolicy, Backend, BackendPort, BackendSet, Discovery, EndpointSliceDiscovery, KubeOptions};
use ilb_reconciler::siblings::ReplicaId;
use ilb_siblings::{OwnReports, SiblingEvent, draw_identity, poll};
use tokio::{sync::watch, time::timeout};

use super::{cluster::Cluster, pools::PoolFactory};
use crate::{
    observe::insight::Insight,
    settings::{Settings, SiblingService},
};

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
    insight: &Insight,
) -> anyhow::Result<impl Stream<Item = SiblingEvent> + Send + 'static + use<>> {
    let mut lists = Vec::new();
    for (number, service) in settings.siblings.iter().enumerate() {
        let slices = endpoints(settings, service, factory).await?;
        // This replica is one of the endpoints, which is no mistake: its answer tells that it is no sibling.
        let slices = slices.with_options(KubeOptions::default().with_addresses(AddressPolicy::default().allow_own()));
        let replica = reports.borrow().replica();
        tracing::info!(%service, %replica, "Balancing together with the replicas that this Service lists");
        lists.push(followed(number, service.to_string(), slices, insight.clone()));
    }
    let replica = reports.borrow().replica();
    Ok(poll(replica, union(stream::select_all(lists), settings.siblings.len())))
}

/// Asks each endpoint of the Services once, for a plan. `running` is the identity of the ilb that runs here, if one does: it has
/// counted the same connections, so that it is no sibling. Fails if the endpoints of a Service cannot be listed.
pub(crate) async fn ask_once(
    settings: &Settings,
    factory: &PoolFactory,
    running: Option<ReplicaId>,
) -> anyhow::Result<(ReplicaId, Vec<SiblingEvent>)> {
    let own = running.unwrap_or_else(draw_identity);
    let mut addresses = BTreeSet::new();
    for service in &settings.siblings {
        let slices = endpoints(settings, service, factory).await?;
        let listed = timeout(MAX_TIME_TO_LIST, slices.list()).await;
        let listed =
            listed.with_context(|| format!("the endpoints of the Service {service} were not listed in time"))?;
        let listed = listed.map_err(|error| anyhow::anyhow!("{}", error.with_causes()))?;
        addresses.extend(listed.iter().map(Backend::address));
    }
    let mut events = Vec::new();
    if addresses.is_empty() {
        return Ok((own, events));
    }
    let mut answers = pin!(poll(own, stream::iter([addresses]).chain(stream::pending())));
    while let Some(event) = answers.next().await {
        // Each question takes a second at most.
        match event {
            SiblingEvent::AllAsked => break,
            // One that runs goes on asking for a while.
            SiblingEvent::Failed { address, problem } => {
                events.push(SiblingEvent::Lost { address, replica: None, problem });
            }
            event => events.push(event),
        }
    }
    Ok((own, events))
}

/// Maximum time until the endpoints of a Service are listed, for a plan.
const MAX_TIME_TO_LIST: Duration = Duration::from_secs(5);

/// Returns the source of the endpoints of a Service.
async fn endpoints(
    settings: &Settings,
    service: &SiblingService,
    factory: &PoolFactory,
) -> anyhow::Result<EndpointSliceDiscovery> {
    let Cluster { client, namespace, .. } = factory.connect_cluster().await?;
    let SiblingService { name, namespace: other, port } = service;
    let port = port.clone().unwrap_or_else(|| BackendPort::from(settings.admin.address.port()));
    let namespace = other.as_ref().unwrap_or(namespace);
    EndpointSliceDiscovery::try_from_service(client.clone(), namespace, name, port)
        .with_context(|| format!("cannot watch the Service {name} of the siblings"))
}

/// The endpoints of one Service, and what has become of the watch.
struct Followed<D> {
    service: String,
    source: D,
    sets: Option<BoxStream<'static, Published>>,
    has_list: bool,
    is_stale: bool,
    /// Pause before the next attempt, if this process may not read the list.
    pause: Option<Duration>,
    /// True once it has been logged that it may not.
    has_complained: bool,
    insight: Insight,
}

/// First and longest pause before it is tried again to read a list that this process may not read.
const PAUSES: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));

/// Returns the addresses of one Service with its number, each time that they change, and logs when they cannot be followed.
///
/// A process that never was allowed to read the list is one without siblings: with one replica, the chart grants nothing.
/// That is a problem only if there have to be siblings.
fn followed<D: Discovery + 'static>(
    number: usize,
    service: String,
    source: D,
    insight: Insight,
) -> BoxStream<'static, (usize, BTreeSet<SocketAddr>)> {
    let (has_list, is_stale, has_complained) = (false, false, false);
    let start = Followed { service, source, sets: None, has_list, is_stale, pause: None, has_complained, insight };
    stream::unfold(start, move |mut this| async move { this.next().await.map(|list| ((number, list), this)) }).boxed()
}

impl<D: Discovery> Followed<D> {
    /// Waits for the next list; `None` at the end of the watch.
    async fn next(&mut self) -> Option<BTreeSet<SocketAddr>> {
        loop {
            let sets = if let Some(sets) = &mut self.sets {
                sets
            } else {
                if let Some(pause) = self.pause {
                    tokio::time::sleep(pause).await;
                }
                self.sets.insert(self.source.watch())
            };
            match sets.next().await? {
                Ok(set) => return Some(self.listed(&set)),
                Err(ilb_discovery::Error::Forbidden { what, .. }) if !self.has_list => {
                    self.sets = None;
                    self.forbidden(&what);
                    let (first, longest) = PAUSES;
                    let next = self.pause.map_or(first, |pause| (pause * 2).min(longest));
                    if self.pause.replace(next).is_none() {
                        return Some(BTreeSet::new());
                    }
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.is_stale, true) {
                        let (service, error) = (&self.service, error.with_causes());
                        tracing::warn!(service, %error, "The list of siblings may be out of date: keeping the last one");
                    }
                }
            }
        }
    }

    /// Reports that this process may not read the list.
    fn forbidden(&mut self, what: &str) {
        let service = &self.service;
        let reason = format!("it may not list {what}, so grant list and watch of them for the Service {service}");
        self.insight.siblings_forbidden(Some(reason));
        if self.insight.read(|facts| facts.siblings.is_expected) && !std::mem::replace(&mut self.has_complained, true) {
            tracing::warn!(
                service,
                what,
                "Each replica balances alone: the right to list and watch the siblings is missing"
            );
        }
    }

    fn listed(&mut self, set: &BackendSet) -> BTreeSet<SocketAddr> {
        if !std::mem::replace(&mut self.has_list, true) {
            self.insight.siblings_forbidden(None);
        }
        if std::mem::take(&mut self.is_stale) {
            let service = &self.service;
            tracing::info!(service, "The list of siblings is up to date again");
        }
        set.iter().map(Backend::address).collect()
    }
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
    use ilb_discovery::{State, testing::FakeDiscovery};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_process_that_may_not_read_the_list_is_alone_until_it_may() {
        let fake = FakeDiscovery::default();
        let cause = || ilb_discovery::Cause::new("refused");
        fake.fail(ilb_discovery::Error::Forbidden { what: "endpointslices in namespace shop".into(), cause: cause() });
        let insight = Insight::new();
        let mut lists = followed(0, "ilb-siblings".into(), fake.clone(), insight.clone());
        assert_eq!(lists.next().await, Some((0, BTreeSet::new())), "the first push need not wait");
        let next = tokio::time::timeout(10 * PAUSES.1, lists.next()).await;
        assert!(next.is_err(), "it is no news");
        let unlisted = || insight.read(|facts| facts.siblings.unlisted().map(str::to_owned));
        assert_eq!(unlisted(), None, "with one replica it is no problem");
        insight.expect_siblings(true);
        let reason = unlisted().unwrap();
        assert!(reason.contains("endpointslices in namespace shop") && reason.contains("ilb-siblings"), "{reason}");
        let address = ([10, 0, 0, 1], 8081).into();
        fake.publish([Backend::new(address, State::Ready)].into_iter().collect());
        assert_eq!(lists.next().await, Some((0, BTreeSet::from([address]))));
        assert_eq!(unlisted(), None);
        // From now on it is a problem: the last list stays.
        fake.fail(ilb_discovery::Error::Forbidden { what: "endpointslices in namespace shop".into(), cause: cause() });
        assert!(tokio::time::timeout(10 * PAUSES.1, lists.next()).await.is_err());
    }

    #[tokio::test]
    async fn the_addresses_of_all_services_are_siblings() {
        let list = |last: &[u8]| last.iter().map(|last| SocketAddr::from(([10, 0, 0, *last], 8081))).collect();
        let lists = [(0, list(&[1, 2])), (1, list(&[3])), (0, list(&[2])), (1, list(&[]))];
        let unions: Vec<BTreeSet<SocketAddr>> = union(stream::iter(lists), 2).collect().await;
        assert_eq!(unions, [list(&[1, 2]), list(&[1, 2, 3]), list(&[2, 3]), list(&[2])]);
    }
}
