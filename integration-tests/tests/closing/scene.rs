//! A real Traefik with backends at addresses of other hosts, in a network namespace of the test's own.

use std::{collections::BTreeSet, net::SocketAddr};

use ilb_connections::{Connection, ConnectionSource, KernelConnections, Options};
use ilb_testbed::{BareTraefik, Ilb, KernelSocket, LogLine, alone_in_a_network, eventually, host_network};
use ilb_traefik_client::{ConfigSink, Configuration, Member, TcpPool};
use k8s_openapi::jiff::Timestamp;

/// Port of the backends.
pub(crate) const BACKEND_PORT: u16 = 5432;

/// Flags of a closer for the backends of a [`Scene`].
pub(crate) const FLAGS: [&str; 3] = ["--networks=10.9.0.0/16", "--ports=5432", "--entry-ports=3333"];

/// A Traefik, and what counts its connections to the backends.
pub(crate) struct Scene {
    pub(crate) traefik: BareTraefik,
    pub(crate) backends: BTreeSet<SocketAddr>,
    counting: KernelConnections,
}

/// Runs the calling test once more in a network namespace of its own, as [`alone_in_a_network`] does.
pub(crate) fn alone(test: &str) -> bool {
    // There, cargo could fetch nothing.
    Ilb::build().unwrap();
    alone_in_a_network(test).unwrap()
}

/// Returns the address of backend `number`, which is none of loopback.
pub(crate) fn backend(number: u8) -> SocketAddr {
    SocketAddr::from(([10, 9, 0, number], BACKEND_PORT))
}

/// Returns the text of a file that lists the first backends.
pub(crate) fn backends_file(number: u8) -> String {
    let lines: Vec<_> = (1..=number).map(|number| format!("- address: {}\n", backend(number))).collect();
    lines.concat()
}

/// Returns the moment of a line of a log.
pub(crate) fn moment(line: &LogLine) -> Timestamp {
    line["timestamp"].as_str().unwrap().parse().unwrap()
}

impl Scene {
    /// Starts Traefik, and leads its entry point to this many backends, whose addresses can be listened at from now on.
    pub(crate) async fn start(backends: u8) -> Self {
        let backends: BTreeSet<SocketAddr> = (1..=backends).map(backend).collect();
        host_network("10.9.0.0/16").unwrap();
        let traefik = BareTraefik::builder().start().await.unwrap();
        let mut configuration = Configuration::default();
        let pool = TcpPool::new("default".parse().unwrap(), "tcp".parse().unwrap());
        let pool = backends.iter().fold(pool, |pool, backend| pool.member(Member::new(*backend, 1)));
        pool.add_to(&mut configuration);
        let client = ilb_traefik_client::Traefik::try_new(&traefik.url()).unwrap();
        client.apply(&configuration).await.unwrap();
        let options = Options::default().with_listener_port(traefik.entry_point().port());
        let counting = KernelConnections::start(options).await.unwrap();
        counting.sample(&backends).await.unwrap();
        Self { traefik, backends, counting }
    }

    /// Describes Traefik's connections to the backends.
    pub(crate) async fn connections(&self) -> Vec<Connection> {
        self.counting.sample(&self.backends).await.unwrap();
        self.counting.connections(&self.backends).await.unwrap()
    }

    /// Returns Traefik's only connection to a backend, once it is there.
    pub(crate) async fn only_connection(&self) -> (Connection, KernelSocket) {
        eventually("Traefik has one connection to a backend", async || match self.connections().await.as_slice() {
            [one] => Ok((*one, KernelSocket::between(one.local, one.backend)?)),
            others => anyhow::bail!("there are {}", others.len()),
        })
        .await
        .unwrap()
    }
}
