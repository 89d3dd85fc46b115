//! Promises of the document of connections: filters, order, pages and bounds.

use ilb_connections::{Age, FlowTable};
use ilb_discovery::State;
use rstest::rstest;

use super::*;
use crate::observe::{
    connections::query::MAX_ROWS,
    insight::{
        Insight,
        tests::{Reporter, set},
    },
};

pub(in crate::observe::connections) fn age(seconds: u64) -> Age {
    Age { at_least: Duration::from_secs(seconds), at_most: None }
}

/// Returns a table of connections that are 1 s, 2 s and so on old, and get ten times as many bytes; those with an even number
/// go to the second backend, and each third has no certain client.
pub(in crate::observe::connections) fn table(connections: u16) -> FlowTable {
    let flow = |number: u16| {
        let backend = SocketAddr::from(([10, 0, 0, 1 + u8::from(number.is_multiple_of(2))], 5432));
        let mut flow = Flow::new(number.into(), ([10, 0, 0, 9], number).into(), backend, age(number.into()));
        flow.from_backend = u64::from(number) * 10;
        flow.client =
            (!number.is_multiple_of(3)).then(|| ([192, 0, 2, 1 + u8::from(number < 3)], 40_000 + number).into());
        flow
    };
    let lone = LoneClient::new(9_999, "192.0.2.1:50000".parse().unwrap(), age(77));
    FlowTable { flows: (1..=connections).map(flow).collect(), clients: vec![lone], left_out: 0 }
}

fn snapshot(connections: u16) -> Snapshot {
    let insight = Insight::new();
    let pool = Reporter::add(&insight, "db", "tcp", ilb_reconciler::Method::RoundRobin);
    pool.discovered(&set(&[]));
    let (_, mut names) = pools_of(&insight.snapshot(), |_| None);
    let pod = Arc::new(PodRef::try_new("apps", "db-1").unwrap());
    names.pods.insert("10.0.0.1:5432".parse().unwrap(), pod);
    Snapshot::new(table(connections), names, Instant::now())
}

fn page(snapshot: &Snapshot, query: &str) -> ConnectionPage {
    snapshot.page(&Query::from_text(Some(query)).unwrap(), Instant::now())
}

/// Returns the local ports, which are the numbers of the connections; 0 for a client without a backend.
fn numbers(page: &ConnectionPage) -> Vec<u16> {
    page.connections.iter().map(|row| row.local.map_or(0, |local| local.port())).collect()
}

#[rstest]
#[case::oldest_first("", &[6, 5, 4, 3, 2, 1])]
#[case::youngest_first("reverse", &[1, 2, 3, 4, 5, 6])]
#[case::by_bytes("sort=bytes&limit=2", &[6, 5])]
#[case::second_page("sort=from-backend&limit=2&offset=2", &[4, 3])]
#[case::behind_the_end("offset=6", &[])]
#[case::by_backend("sort=backend", &[1, 3, 5, 2, 4, 6])]
#[case::unknown_clients_last("sort=client", &[4, 5, 1, 2, 3, 6])]
#[case::by_pool("pool=other", &[])]
#[case::by_pod("backend=DB-1", &[5, 3, 1])]
#[case::by_address("backend=0.0.2:", &[6, 4, 2])]
#[case::by_client("client=192.0.2.2&reverse", &[1, 2])]
#[case::a_client_without_a_backend("client=192.0.2.1:5", &[0])]
#[case::all_clients_without_a_backend("lone&limit=1", &[0])]
fn rows_are_chosen_and_ordered(#[case] query: &str, #[case] expected: &[u16]) {
    assert_eq!(numbers(&page(&snapshot(6), query)), expected);
}

#[test]
fn a_page_says_what_it_is_a_part_of() {
    let page = page(&snapshot(6), "backend=db-1&limit=1&offset=1");
    let counts = (page.total, page.with_client, page.clients_without_backend, page.matching, page.offset);
    assert_eq!(counts, (6, 4, 1, 3, 1));
    let row = &page.connections[0];
    assert_eq!(
        (row.pool.as_deref(), row.pod.as_deref(), row.namespace.as_deref()),
        (Some("db"), Some("db-1"), Some("apps"))
    );
    assert_eq!((row.client, row.bytes_from_backend, row.age_seconds, row.max_age_seconds), (None, 30, 3.0, None));
}

#[test]
fn the_size_of_an_answer_is_bounded() {
    let page = page(&snapshot(2_000), "limit=2000");
    assert_eq!((page.connections.len(), page.matching), (MAX_ROWS, 2_000));
    assert!(serde_json::to_vec(&page).unwrap().len() < MAX_ROWS * 600);
}

#[test]
fn pools_have_their_entry_points_and_the_backends_that_have_left() {
    let insight = Insight::new();
    for (name, entry_point) in [("a", "tcp"), ("b", "other"), ("c", "same")] {
        let pool = Reporter::add(&insight, name, entry_point, ilb_reconciler::Method::RoundRobin);
        pool.discovered(&set(&[State::Ready, State::Ready]));
        pool.discovered(&set(&[State::Ready]));
    }
    let entry_point = |name: &str| {
        let mut entry_point = EntryPoint::new(if name == "tcp" { 3333 } else { 80 });
        entry_point.takes_proxy_protocol = name == "tcp";
        Some(entry_point)
    };
    let (pools, names) = pools_of(&insight.snapshot(), entry_point);
    assert_eq!(names.pools, ["a", "b", "c"]);
    let ports: Vec<_> = pools.iter().map(|pool| (pool.entry_port, pool.is_transparent)).collect();
    assert_eq!(ports, [(Some(3333), false), (None, true), (None, true)], "the last two cannot be told apart");
    assert!(pools.iter().all(|pool| pool.backends.len() == 2));
}
