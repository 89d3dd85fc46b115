//! Replicas of ilb, each with a Traefik of its own, before the same backends, in a network namespace of the test's own.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use ilb_testbed::{
    Admin, ApiServer, Backend, BareTraefik, Behaviour, Connection, Ilb, Pods, Signal, alone_in_a_network, eventually,
    host_network,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Port at which siblings answer.
pub(crate) const ADMIN_PORT: u16 = 8081;

/// Service whose endpoints are the replicas, unless a test has more of them.
const SERVICE: &str = "ilb-siblings";

/// Replicas, their backends, and the API server that lists them.
pub(crate) struct Replicas {
    folder: TempDir,
    api_server: ApiServer,
    namespace: Pods,
    backends: Vec<Backend>,
    /// More settings of each replica that is added.
    pub(crate) settings: &'static [(&'static str, &'static str)],
    pub(crate) all: Vec<Replica>,
}

/// A replica of ilb with its Traefik.
pub(crate) struct Replica {
    pub(crate) ilb: Ilb,
    pub(crate) admin: Admin,
    traefik: BareTraefik,
}

/// Runs the calling test once more in a network namespace of its own, if this process may give Traefiks users of their own.
pub(crate) fn alone(test: &str) -> bool {
    if !rustix::process::geteuid().is_root() {
        println!("{test}: skipped, nothing was proved: it needs root, for a user of its own for each Traefik");
        return false;
    }
    // There, cargo could fetch nothing.
    Ilb::build().unwrap();
    alone_in_a_network(test).unwrap()
}

/// Returns the address of a replica: it is none of loopback, which an API server would refuse.
pub(crate) fn host(number: u8) -> IpAddr {
    [10, 9, 1, number].into()
}

pub(crate) fn backend(number: u8) -> SocketAddr {
    ([10, 9, 0, number], 5432).into()
}

impl Replicas {
    /// Creates the world of replicas, without any yet, before backends of which this many are listed.
    pub(crate) async fn new(listed: u8) -> Self {
        host_network("10.9.0.0/16").unwrap();
        let api_server = ApiServer::start().await.unwrap();
        let namespace = api_server.new_namespace("siblings").await.unwrap();
        let folder = tempfile::Builder::new().prefix("ilb-siblings-").tempdir().unwrap();
        let mut this = Self { folder, api_server, namespace, backends: Vec::new(), settings: &[], all: Vec::new() };
        this.list_backends(listed).await;
        this
    }

    /// Starts so many replicas, which are siblings, before backends of which this many are listed.
    pub(crate) async fn start(replicas: u8, listed: u8) -> Self {
        let mut this = Self::new(listed).await;
        this.list_siblings(&(0..replicas).collect::<Vec<_>>()).await;
        for number in 0..replicas {
            this.add(number, SERVICE).await;
        }
        this.wait_until_ready_and_hearing(usize::from(replicas) - 1).await;
        this
    }

    /// Waits until each replica is ready, and hears so many siblings.
    pub(crate) async fn wait_until_ready_and_hearing(&self, siblings: usize) {
        for replica in &self.all {
            replica.admin.wait_until_ok("/readyz").await.unwrap();
            replica.wait_until_hearing(siblings).await;
        }
    }

    /// Starts one more replica, whose siblings are the endpoints of `service`. Whether it is one itself is up to the list.
    pub(crate) async fn add(&mut self, number: u8, service: &str) {
        let user = 20_001 + u32::from(number);
        let traefik =
            BareTraefik::builder().of_user(user, 8100 + u16::from(number)).drain("60s").start().await.unwrap();
        let admin = Admin::new((host(number), ADMIN_PORT).into()).unwrap();
        let (kubeconfig, url) = (self.api_server.kubeconfig().display().to_string(), traefik.url());
        let (file, address) = (self.file().display().to_string(), admin.address().to_string());
        let siblings = format!("{service}.{}:admin", self.namespace.namespace());
        let variables = [
            ("KUBECONFIG", kubeconfig.as_str()),
            ("TRAEFIK_API_URL", &url),
            ("ILB_BACKENDS_FILE", &file),
            ("ILB_ADMIN_ADDRESS", &address),
            ("ILB_SIBLINGS", &siblings),
        ];
        self.all.push(Replica { ilb: Ilb::start(&[&variables[..], self.settings].concat()).unwrap(), admin, traefik });
    }

    /// Lists the backends 1 to `count` for all replicas, and starts those that do not run yet.
    pub(crate) async fn list_backends(&mut self, count: u8) {
        for number in 1..=count {
            if self.backends.len() < usize::from(number) {
                self.backends.push(Backend::start(backend(number), Behaviour::Echo).await.unwrap());
            }
        }
        self.list_servers(count);
    }

    /// Lists the backends 1 to `count` for all replicas, of which the caller runs a server at the address of each.
    pub(crate) fn list_servers(&self, count: u8) {
        let text = (1..=count).fold(String::new(), |mut text, number| {
            let _ = writeln!(text, "- {{address: '{}'}}", backend(number));
            text
        });
        replace(&self.file(), &text);
    }

    /// Lists these hosts as the endpoints of the Service of the siblings, whether they are ready or not.
    pub(crate) async fn list_siblings(&self, numbers: &[u8]) {
        self.list_in(SERVICE, numbers).await;
    }

    /// Lists these hosts as the endpoints of another Service.
    pub(crate) async fn list_in(&self, service: &str, numbers: &[u8]) {
        let name = format!("{service}-1");
        let endpoint = |number: &u8| {
            let ready = number.is_multiple_of(2);
            json!({"addresses": [host(*number)], "conditions": {"ready": ready, "serving": ready, "terminating": !ready}})
        };
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": name, "labels": {"kubernetes.io/service-name": service}},
            "addressType": "IPv4",
            "ports": [{"name": "admin", "port": ADMIN_PORT, "protocol": "TCP"}],
            "endpoints": numbers.iter().map(endpoint).collect::<Vec<_>>(),
        });
        let slices = Api::<EndpointSlice>::namespaced(self.api_server.client(), self.namespace.namespace());
        let force = PatchParams::apply("ilb-tests").force();
        slices.patch(&name, &force, &Patch::Apply(slice)).await.unwrap();
    }

    /// Checks that each replica is ready.
    pub(crate) async fn assert_ready(&self) {
        for replica in &self.all {
            assert!(replica.admin.is_ok("/readyz").await.unwrap());
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("backends.yaml")
    }
}

impl Replica {
    /// Returns the address that clients connect to.
    pub(crate) fn entry_point(&self) -> SocketAddr {
        self.traefik.entry_point()
    }

    /// Opens so many connections, one after the other, and adds them to `open`.
    pub(crate) async fn connect(&self, count: usize, open: &mut Vec<Connection>) {
        for _ in 0..count {
            open.push(Connection::open(self.traefik.entry_point()).await.unwrap());
        }
    }

    /// Opens a connection, which fails if it is closed at once.
    pub(crate) async fn try_connect(&self) -> anyhow::Result<Connection> {
        Connection::open(self.traefik.entry_point()).await
    }

    /// Sends SIGTERM to Traefik, and waits until it takes no new connections.
    pub(crate) async fn drain_traefik(&self) {
        self.traefik.signal(Signal::TERM).unwrap();
        eventually("Traefik takes no new connections", async || {
            ensure!(Connection::open(self.traefik.entry_point()).await.is_err(), "it still does");
            Ok(())
        })
        .await
        .unwrap();
    }

    /// Returns the number of the last sample that this replica tells its siblings.
    pub(crate) async fn sample(&self) -> anyhow::Result<u64> {
        let (_, text) = self.admin.get("/siblings").await?;
        serde_json::from_str::<Value>(&text)?["sample"].as_u64().with_context(|| format!("no sample: {text}"))
    }

    /// Waits until this many siblings are heard and no more.
    pub(crate) async fn wait_until_hearing(&self, siblings: usize) {
        eventually("the siblings are heard", async || {
            let status = self.admin.status().await?;
            let heard = status["siblings"]["heard"].as_u64().context("there is no exchange")?;
            ensure!(heard == siblings as u64, "{heard} of {siblings}: {}", status["siblings"]);
            Ok(())
        })
        .await
        .unwrap();
    }

    /// Waits until the plan that is in force leads the next connections to backends as `head_starts` says: how many each of
    /// them is to get before the others.
    pub(crate) async fn wait_for_head_starts(&self, head_starts: &[u64]) {
        eventually("the next connections are led there", async || {
            let status = self.admin.status().await?;
            let found = of_backends(&status, "head_start")?;
            ensure!(
                found.values().eq(head_starts),
                "{found:?}, not {head_starts:?}: {}",
                status["pools"][0]["sharing"]
            );
            Ok(())
        })
        .await
        .unwrap();
    }

    /// Waits until the plan that is in force leads the next connection to one of the backends 1 to `count` that have the
    /// fewest connections, those of all replicas together.
    pub(crate) async fn wait_for_lowest(&self, count: u8, open: &[Connection]) {
        let totals = totals(open);
        let total = |address: &SocketAddr| totals.get(address).copied().unwrap_or(0);
        let lowest = (1..=count).map(|number| total(&backend(number))).min();
        eventually("the next connection is led to the emptiest backend", async || {
            let status = self.admin.status().await?;
            let found = of_backends(&status, "head_start")?;
            let most = found.values().max();
            let first = found.iter().filter(|(_, head_start)| Some(*head_start) == most);
            let are_lowest = first.map(|(address, _)| Some(total(address))).all(|total| total == lowest);
            ensure!(are_lowest, "{found:?} with {totals:?}: {}", status["pools"][0]["sharing"]);
            Ok(())
        })
        .await
        .unwrap();
    }

    /// Waits until this replica has counted so many connections of its own.
    pub(crate) async fn wait_until_counted(&self, connections: u64) {
        eventually("the connections are counted", async || {
            let found = of_backends(&self.admin.status().await?, "established")?;
            ensure!(found.values().sum::<u64>() == connections, "{found:?}, not {connections} in all");
            Ok(())
        })
        .await
        .unwrap();
    }

    /// Waits until the exchange shows this about the sibling at `number`, and returns the problem.
    pub(crate) async fn wait_for_loss_of(&self, number: u8) -> String {
        let address = SocketAddr::new(host(number), ADMIN_PORT).to_string();
        eventually("the sibling is lost", async || {
            let status = self.admin.status().await?;
            let siblings = status["siblings"]["siblings"].as_array().context("there is no exchange")?;
            let sibling = siblings.iter().find(|sibling| sibling["address"] == address.as_str());
            let problem = sibling.and_then(|sibling| sibling["problem"].as_str());
            Ok(problem.with_context(|| format!("{address} is not lost: {siblings:?}"))?.to_owned())
        })
        .await
        .unwrap()
    }
}

/// Returns how many connections there are to each backend.
pub(crate) fn totals(open: &[Connection]) -> BTreeMap<SocketAddr, usize> {
    let mut totals = BTreeMap::new();
    for connection in open {
        *totals.entry(connection.backend()).or_default() += 1;
    }
    totals
}

/// Returns a number of each backend of the only pool, by address.
fn of_backends(status: &Value, field: &str) -> anyhow::Result<BTreeMap<SocketAddr, u64>> {
    let backends = status["pools"][0]["backends"].as_array().context("no backends in the status")?;
    let number = |backend: &Value| {
        let address = backend["address"].as_str().context("no address")?.parse()?;
        Ok((address, backend[field].as_u64().with_context(|| format!("no {field}: {backend}"))?))
    };
    backends.iter().map(number).collect()
}

/// Replaces a file as a whole.
fn replace(file: &Path, text: &str) {
    let new = file.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, file).unwrap();
}
