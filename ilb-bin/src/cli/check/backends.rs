//! Checks of the pools' backends: the Service, the pods that match, why some are left out, and whether the port answers.

use std::{collections::BTreeSet, fmt::Write as _, net::SocketAddr, time::Duration};

use ilb_discovery::{BackendSet, Discovery, State};
use kube::Client;
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};

use super::finding::{Check, Findings, Level};
use crate::{
    settings::{Backends, Namespaces, PoolSettings, Settings},
    wiring::{
        Cluster, PoolFactory,
        objects::{Unread, get, text},
    },
};

/// Maximum wait for a backend to accept a connection.
const DIAL_TIMEOUT: Duration = Duration::from_secs(3);

/// Number of backends of a pool that are connected to: one tells whether the port is right, some more whether it is everywhere.
const MAX_DIALLED: usize = 3;

/// Number of objects that are named of those that are left out.
const MAX_NAMED: usize = 3;

/// Place from which a cluster is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// Namespace of ilb.
    pub(super) namespace: &'a str,
    /// True in the cluster, where backends can be reached.
    pub(super) is_inside: bool,
    /// True before the installation of ilb, when the application may not be installed either.
    pub(super) is_before_installation: bool,
}

/// Checks the backends of all pools.
pub(super) async fn backends(
    cluster: Option<&Cluster>,
    factory: &PoolFactory,
    settings: &Settings,
    place: Place<'_>,
    findings: &mut Findings,
) {
    let own = place.namespace;
    for pool in &settings.pools {
        if let (Backends::Service(name), Some(cluster)) = (&pool.backends, cluster) {
            let namespace = match &pool.namespaces {
                Namespaces::These(names) => names.first().map_or(own, String::as_str),
                _ => own,
            };
            service(&cluster.client, namespace, name, findings).await;
        }
        let listed = match factory.build_discovery(pool).await {
            Ok(discovery) => {
                discovery.list().await.map(|set| (set, discovery)).map_err(|error| error.with_causes().to_string())
            }
            Err(error) => Err(format!("{error:#}")),
        };
        match listed {
            Ok((set, discovery)) => {
                listing(pool, &set, &*discovery, place, findings);
                port(pool, &set, place.is_inside, findings).await;
            }
            Err(error) => findings.failure(Check::Backends, format!("pool {}: {error}", pool.name)),
        }
    }
}

/// Checks whether a Service exists, and whether it selects pods.
async fn service(client: &Client, namespace: &str, name: &str, findings: &mut Findings) {
    let place = format!("the Service {namespace}/{name}");
    match get(client, &format!("/api/v1/namespaces/{namespace}/services/{name}")).await {
        Ok(service) if text(&service, "/spec/type") == Some("ExternalName") => {
            findings.failure(Check::Service, format!("{place} is a name outside of the cluster and has no endpoints"));
        }
        Ok(service) => {
            let selector = service.pointer("/spec/selector").and_then(Value::as_object);
            let selected = selector.is_some_and(|selector| !selector.is_empty());
            let how =
                if selected { "exists" } else { "exists and has no selector: its EndpointSlices are made by others" };
            findings.ok(Check::Service, format!("{place} {how}"));
        }
        Err(Unread::NotFound) => findings.failure(Check::Service, format!("there is no Service {namespace}/{name}")),
        Err(Unread::Forbidden(_)) => {
            findings.ok(Check::Service, format!("{place} may not be read, which ilb need not"));
        }
        Err(unread) => findings.warning(Check::Service, format!("{place} cannot be read: {}", unread.reason())),
    }
}

/// Reports how many backends a source has, and which objects gave none.
fn listing(pool: &PoolSettings, set: &BackendSet, source: &dyn Discovery, place: Place<'_>, findings: &mut Findings) {
    let [ready, draining, not_ready] = [State::Ready, State::Draining, State::NotReady].map(|state| set.count(state));
    let complaints = source.complaints(MAX_NAMED);
    let what = source.info().map_or_else(String::new, |info| format!(" ({} {})", info.kind.as_str(), info.what));
    let mut found = format!("pool {}{what}: {} found, {ready} ready", pool.name, set.len());
    for (count, word) in [(draining, "draining"), (not_ready, "not ready")] {
        if count > 0 {
            let _ = write!(found, ", {count} {word}");
        }
    }
    if complaints.count > 0 {
        let named = complaints.listed.iter().map(|one| format!("{}: {}", one.object, one.text)).collect::<Vec<_>>();
        let _ = write!(found, "; {} with a mistake, such as {}", complaints.count, named.join("; "));
    }
    let level = match ready {
        0 if !place.is_before_installation => Level::Failure,
        0 => Level::Warning,
        _ if complaints.count > 0 => Level::Warning,
        _ => Level::Ok,
    };
    findings.push(Check::Backends, level, found);
}

/// Connects to some of the ready backends.
async fn port(pool: &PoolSettings, set: &BackendSet, is_inside: bool, findings: &mut Findings) {
    let ready = set.iter_ready().map(ilb_discovery::Backend::address);
    let ready: BTreeSet<SocketAddr> = ready.take(MAX_DIALLED).collect();
    let mut failed = Vec::new();
    for address in &ready {
        let problem = match timeout(DIAL_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(_)) => continue,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", DIAL_TIMEOUT.as_secs()),
        };
        failed.push(format!("{address}: {problem}"));
    }
    let (name, tried) = (&pool.name, ready.len());
    match (failed.as_slice(), is_inside) {
        _ if ready.is_empty() => {}
        ([], _) => {
            findings.ok(Check::BackendPort, format!("pool {name}: {tried} of {tried} backends accept connections"));
        }
        (failed, true) => {
            findings.failure(
                Check::BackendPort,
                format!("pool {name}: {} of {tried} do not accept connections: {}", failed.len(), failed.join("; ")),
            );
        }
        (failed, false) => findings.warning(
            Check::BackendPort,
            format!("pool {name}: not known, since pods cannot be reached from here: {}", failed.join("; ")),
        ),
    }
}

#[cfg(test)]
mod tests {
    use ilb_discovery::{Complaint, Complaints, SourceInfo, SourceKind, testing::MockDiscovery};
    use rstest::rstest;
    use serde_json::json;
    use tokio::net::TcpListener;

    use super::*;
    use crate::{settings::Inputs, wiring::objects::testing::api_server};

    fn pool() -> PoolSettings {
        let variables = vec![("ILB_SELECTOR".to_owned(), "app=a".to_owned())];
        Settings::load(&Inputs { variables, ..Inputs::default() }).unwrap().pools.remove(0)
    }

    fn found(states: &[State], refused: usize, is_before_installation: bool) -> Findings {
        let mut source = MockDiscovery::new();
        source.expect_info().returning(|| Some(SourceInfo::new(SourceKind::Pods, "app=a")));
        source.expect_complaints().returning(move |limit| {
            let mut complaints = Complaints::default();
            let all = (0..refused).map(|n| Complaint::new(format!("db-{n}"), "has no port named sql", true));
            (complaints.count, complaints.listed) = (refused, all.take(limit).collect());
            complaints
        });
        let address = |n: usize| SocketAddr::from(([10, 0, 0, u8::try_from(n).unwrap()], 5432));
        let set = states.iter().enumerate().map(|(n, state)| ilb_discovery::Backend::new(address(n), *state)).collect();
        let (mut findings, namespace) = (Findings::default(), "apps");
        let place = Place { namespace, is_inside: true, is_before_installation };
        listing(&pool(), &set, &source, place, &mut findings);
        findings
    }

    #[test]
    fn backends_are_counted_and_those_that_are_left_out_are_named_with_the_reason() {
        let all = found(&[State::Ready, State::Ready, State::NotReady, State::Draining], 0, false);
        let text = "pool default (pods app=a): 4 found, 2 ready, 1 draining, 1 not ready";
        assert_eq!((all.worst(), all.0[0].text.as_str()), (Level::Ok, text));
        let some = found(&[State::Ready], 9, false);
        let text =
            "pool default (pods app=a): 1 found, 1 ready; 9 with a mistake, such as db-0: has no port named sql; db-1";
        assert!(some.worst() == Level::Warning && some.0[0].text.starts_with(text), "{some:?}");
        assert_eq!(found(&[State::NotReady], 0, false).worst(), Level::Failure);
        assert_eq!(found(&[], 1, true).worst(), Level::Warning, "the application may come later");
    }

    #[rstest]
    #[case(json!({"spec": {"selector": {"app": "a"}}}), Level::Ok, "exists")]
    #[case(json!({"spec": {}}), Level::Ok, "made by others")]
    #[case(json!({"spec": {"type": "ExternalName"}}), Level::Failure, "outside of the cluster")]
    #[case(json!(404), Level::Failure, "there is no Service apps/db")]
    #[case(json!(403), Level::Ok, "may not be read, which ilb need not")]
    #[case(json!(500), Level::Warning, "cannot be read")]
    #[tokio::test]
    async fn a_service_without_endpoints_is_a_failure(#[case] answer: Value, #[case] level: Level, #[case] said: &str) {
        let (client, mut findings) =
            (api_server(&[("GET /api/v1/namespaces/apps/services/db", answer)]), Findings::default());
        service(&client, "apps", "db", &mut findings).await;
        assert!(findings.worst() == level && findings.0[0].text.contains(said), "{findings:?}");
    }

    #[tokio::test]
    async fn a_port_that_refuses_is_a_failure_inside_and_unknown_outside() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let level = async |address: SocketAddr, is_inside| {
            let set = std::iter::once(ilb_discovery::Backend::new(address, State::Ready)).collect();
            let mut findings = Findings::default();
            port(&pool(), &set, is_inside, &mut findings).await;
            findings.worst()
        };
        assert_eq!(level(open, true).await, Level::Ok);
        assert_eq!(level(closed, true).await, Level::Failure);
        assert_eq!(level(closed, false).await, Level::Warning);
    }
}
