//! All connections at one moment, with the names of their pools and pods.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use ilb_connections::{Flow, FlowPool, FlowState, FlowTable, LoneClient};
use ilb_discovery::PodRef;
use ilb_traefik_client::client::EntryPoint;
use tokio::time::Instant;

use super::{
    document::{ConnectionPage, ConnectionRow, ConnectionState},
    query::{Query, SortBy},
};
use crate::observe::insight::{Facts, PoolFacts, numbers::age};

/// The pools to read the connections of, and the names of what is found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    /// Names of the pools, in the order in which they were given to the reader.
    pub(crate) pools: Vec<String>,
    pods: HashMap<SocketAddr, Arc<PodRef>>,
}

/// All connections at one moment.
#[derive(Debug)]
pub(super) struct Snapshot {
    names: Names,
    table: FlowTable,
    with_client: usize,
    at: Instant,
}

/// A row before it is written.
#[derive(Clone, Copy)]
enum Row<'a> {
    Flow(&'a Flow),
    Lone(&'a LoneClient),
}

/// Returns the pools of these facts for a reader of connections, and their names. Backends that have left are part of a pool:
/// their connections may go on. `entry_point` returns an entry point of Traefik by its name.
pub(crate) fn pools_of(facts: &Facts, entry_point: impl Fn(&str) -> Option<EntryPoint>) -> (Vec<FlowPool>, Names) {
    let mut names = Names::default();
    let mut ports: BTreeMap<u16, usize> = BTreeMap::new();
    let mut pools = Vec::new();
    for (name, pool) in &facts.pools {
        let entry_point = entry_point(&pool.entry_point);
        let entry_port = entry_point.and_then(|entry_point| entry_point.port);
        if let Some(port) = entry_port {
            *ports.entry(port).or_default() += 1;
        }
        let is_transparent = pool.is_transparent && !entry_point.is_some_and(|entry| entry.takes_proxy_protocol);
        let mut backends = std::collections::BTreeSet::new();
        for (address, pod) in backends_of(pool) {
            backends.insert(address);
            names.pods.extend(pod.map(|pod| (address, Arc::clone(pod))));
        }
        names.pools.push(name.clone());
        pools.push(FlowPool { entry_port, backends: Arc::new(backends), is_transparent });
    }
    // Entry points with one port at several addresses: which of them a client has connected to is not looked at.
    for pool in &mut pools {
        pool.entry_port = pool.entry_port.filter(|port| ports.get(port) == Some(&1));
    }
    (pools, names)
}

fn backends_of(pool: &PoolFacts) -> impl Iterator<Item = (SocketAddr, Option<&Arc<PodRef>>)> {
    let present = pool.backends.iter().flat_map(|backends| backends.iter());
    pool.left.iter().chain(present.map(|backend| (backend.address(), backend.pod())))
}

impl Names {
    /// Returns the name of a pool.
    pub(crate) fn pool(&self, index: usize) -> Option<&str> {
        self.pools.get(index).map(String::as_str)
    }

    /// Returns the pod of a backend.
    pub(crate) fn pod(&self, backend: SocketAddr) -> Option<&PodRef> {
        self.pods.get(&backend).map(|pod| &**pod)
    }
}

impl Snapshot {
    pub(super) fn new(table: FlowTable, names: Names, at: Instant) -> Self {
        let with_client = table.flows.iter().filter(|flow| flow.client.is_some()).count();
        Self { names, table, with_client, at }
    }

    /// Returns the page that `query` asks for.
    pub(super) fn page(&self, query: &Query, now: Instant) -> ConnectionPage {
        let mut rows: Vec<Row<'_>> = self.table.flows.iter().map(Row::Flow).collect();
        if query.lone || query.client.is_some() {
            rows.extend(self.table.clients.iter().map(Row::Lone));
        }
        rows.retain(|row| self.fits(row, query));
        let matching = rows.len();
        let compare = |a: &Row<'_>, b: &Row<'_>| {
            let order = a.compare(b, query.sort);
            (if query.reverse { order.reverse() } else { order }).then_with(|| a.cookie().cmp(&b.cookie()))
        };
        let end = query.offset.saturating_add(query.limit);
        if end < rows.len() {
            rows.select_nth_unstable_by(end, compare);
            rows.truncate(end);
        }
        rows.sort_unstable_by(compare);
        let shown = rows.get(query.offset..).unwrap_or_default();
        ConnectionPage {
            age_seconds: age(self.at, now),
            total: self.table.flows.len(),
            with_client: self.with_client,
            clients_without_backend: self.table.clients.len(),
            left_out: self.table.left_out,
            matching,
            offset: query.offset,
            connections: shown.iter().map(|row| self.row(row)).collect(),
        }
    }

    fn fits(&self, row: &Row<'_>, query: &Query) -> bool {
        let pool = || row.pool().and_then(|pool| self.names.pool(pool));
        let is_of_pool = query.pool.as_deref().is_none_or(|wanted| pool() == Some(wanted));
        let is_of_client = query.client.as_deref().is_none_or(|wanted| {
            row.client().is_some_and(|client| {
                client.to_string().trim_start_matches('[').starts_with(wanted.trim_start_matches('['))
            })
        });
        let is_of_backend = query.backend.as_deref().is_none_or(|wanted| {
            row.backend().is_some_and(|backend| {
                backend.to_string().contains(wanted)
                    || self.names.pod(backend).is_some_and(|pod| pod.name().contains(wanted))
            })
        });
        is_of_pool && is_of_client && is_of_backend
    }

    fn row(&self, row: &Row<'_>) -> ConnectionRow {
        let pod = row.backend().and_then(|backend| self.names.pod(backend));
        let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
        let (age, (to, from)) = (row.age(), row.bytes());
        let named = ConnectionRow {
            client: row.client(),
            backend: row.backend(),
            pool: row.pool().and_then(|pool| self.names.pool(pool)).map(str::to_owned),
            pod: pod.map(|pod| pod.name().to_owned()),
            namespace: pod.map(|pod| pod.namespace().to_owned()),
            local: None,
            state: ConnectionState::Open,
            age_seconds: age.at_least.as_secs_f64(),
            max_age_seconds: seconds(age.at_most),
            bytes_to_backend: to,
            bytes_from_backend: from,
            rtt_seconds: None,
            client_rtt_seconds: None,
            retransmits: 0,
            quiet_seconds: seconds(row.quiet()),
        };
        match row {
            Row::Lone(client) => ConnectionRow { client_rtt_seconds: seconds(client.rtt), ..named },
            Row::Flow(flow) => ConnectionRow {
                local: Some(flow.local),
                state: match flow.state {
                    FlowState::Opening => ConnectionState::Opening,
                    FlowState::Established => ConnectionState::Open,
                    FlowState::HalfClosed => ConnectionState::HalfClosed,
                },
                rtt_seconds: seconds(flow.rtt),
                client_rtt_seconds: seconds(flow.client_rtt),
                retransmits: flow.retransmits,
                ..named
            },
        }
    }
}

impl Row<'_> {
    fn compare(&self, other: &Self, by: SortBy) -> Ordering {
        let bytes = |row: &Self| row.bytes().0.saturating_add(row.bytes().1);
        // What is not known comes last.
        let address = |address: Option<SocketAddr>| (address.is_none(), address);
        match by {
            SortBy::Age => other.age().at_least.cmp(&self.age().at_least),
            SortBy::Bytes => bytes(other).cmp(&bytes(self)),
            SortBy::ToBackend => other.bytes().0.cmp(&self.bytes().0),
            SortBy::FromBackend => other.bytes().1.cmp(&self.bytes().1),
            SortBy::Rtt => other.rtt().cmp(&self.rtt()),
            SortBy::Quiet => other.quiet().cmp(&self.quiet()),
            SortBy::Client => address(self.client()).cmp(&address(other.client())),
            SortBy::Backend => address(self.backend()).cmp(&address(other.backend())),
        }
    }

    fn cookie(&self) -> u64 {
        match self {
            Self::Flow(flow) => flow.cookie,
            Self::Lone(client) => client.cookie,
        }
    }

    fn client(&self) -> Option<SocketAddr> {
        match self {
            Self::Flow(flow) => flow.client,
            Self::Lone(client) => Some(client.client),
        }
    }

    fn backend(&self) -> Option<SocketAddr> {
        match self {
            Self::Flow(flow) => Some(flow.backend),
            Self::Lone(_) => None,
        }
    }

    fn pool(&self) -> Option<usize> {
        match self {
            Self::Flow(flow) => flow.pool,
            Self::Lone(client) => Some(client.pool),
        }
    }

    fn age(&self) -> ilb_connections::Age {
        match self {
            Self::Flow(flow) => flow.age,
            Self::Lone(client) => client.age,
        }
    }

    fn bytes(&self) -> (u64, u64) {
        match self {
            Self::Flow(flow) => (flow.to_backend, flow.from_backend),
            Self::Lone(client) => (client.from_client, client.to_client),
        }
    }

    fn rtt(&self) -> Option<Duration> {
        match self {
            Self::Flow(flow) => flow.rtt,
            Self::Lone(client) => client.rtt,
        }
    }

    fn quiet(&self) -> Option<Duration> {
        match self {
            Self::Flow(flow) => flow.quiet,
            Self::Lone(client) => client.quiet,
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
