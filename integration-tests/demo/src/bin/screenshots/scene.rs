//! A scene: pools of pods with names as in a cluster, and clients that come, stay for a while and leave.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use ilb_testbed::{
    Admin, ApiServer, BACKEND_PORT, Backend, BareTraefik, Behaviour, Group, Ilb, Net, Pods, Readiness, Traefik,
};
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::sleep,
};

/// Everything that a picture is of.
pub(crate) struct Scene {
    pub(crate) admin: Admin,
    pods: Option<Pods>,
    servers: BTreeMap<(String, u16), Server>,
    _tasks: JoinSet<()>,
    _parts: (Ilb, Option<(ApiServer, Traefik)>, Option<Backend>, TempDir),
}

/// The server in a pod.
struct Server {
    pod: String,
    /// While it is set, connections are accepted and ended at once.
    is_full: Arc<AtomicBool>,
}

/// Port of the first entry point beside Traefik's own.
const FIRST_PORT: u16 = 3400;

/// Number of connections that a client of a pool opens per minute, for each of its pods.
const CONNECTIONS_PER_MINUTE: u64 = 20;

/// Identity of the pod of ilb, as the chart sets it.
const IDENTITY: [(&str, &str); 4] = [
    ("ILB_POD", "shop-lb-ilb-6c7d8f9b5-w4kxp"),
    ("ILB_POD_NAMESPACE", "shop"),
    ("ILB_NODE", "node-a"),
    ("ILB_RELEASE", "shop-lb"),
];

/// Ends of the names of pods, as a `ReplicaSet` makes them.
const ENDS: [&str; 8] = ["x7zq2", "k4m9p", "b2vfd", "q8wtl", "n5hjc", "r3gsx", "z6ydk", "c9tbv"];

impl Scene {
    /// Starts these pools with this number of pods each, and clients for all of them.
    pub(crate) async fn start(pools: &[(&str, u16)]) -> anyhow::Result<Self> {
        let (net, folder) = (Net::for_this_process()?, tempfile::Builder::new().prefix("ilb-screenshots-").tempdir()?);
        let (api_server, ports) = (ApiServer::start().await?, FIRST_PORT..);
        let pods = api_server.namespace("shop").await?;
        let entry_points: Vec<_> = pools.iter().map(|(name, _)| *name).zip(ports).collect();
        let traefik = Traefik::with_entry_points(&entry_points).await?;
        let mut settings = format!("traefik: {{urls: ['{}']}}\npools:\n", traefik.rest_url());
        for (name, _) in pools {
            writeln!(
                settings,
                "- {{name: {name}, entryPoint: {name}, selector: app={name}, namespaces: [shop], \
                 backendPort: {BACKEND_PORT}, allowLoopback: true}}"
            )?;
        }
        let (ilb, admin) =
            start_ilb(&folder, &settings, &[("KUBECONFIG", &api_server.kubeconfig().display().to_string())])?;
        let (mut servers, mut tasks) = (BTreeMap::new(), JoinSet::new());
        let mut index = 0;
        for ((pool, count), (_, port)) in pools.iter().zip(&entry_points) {
            for number in 0..*count {
                let server = Server::start(&pods, (pool, number), net.group(), index, &mut tasks).await?;
                servers.insert(((*pool).to_owned(), number), server);
                index += 1;
            }
            let entry_point = SocketAddr::new(traefik.entry_point().ip(), *port);
            tasks.spawn(clients(entry_point, u64::from(*count) * CONNECTIONS_PER_MINUTE));
        }
        admin.wait_until_ok("/readyz").await?;
        let held = (ilb, Some((api_server, traefik)), None, folder);
        Ok(Self { admin, pods: Some(pods), servers, _tasks: tasks, _parts: held })
    }

    /// Lets time pass: the curves of the page are made of it.
    pub(crate) async fn play(&self, duration: Duration) {
        sleep(duration).await;
    }

    /// Deletes a pod, which then drains.
    pub(crate) async fn drain(&mut self, pool: &str, number: u16) -> anyhow::Result<()> {
        self.pods()?.delete(&self.server(pool, number)?.pod).await
    }

    /// Restarts the container of a pod.
    pub(crate) async fn restart(&mut self, pool: &str, number: u16) -> anyhow::Result<()> {
        self.pods()?.set_restarts(&self.server(pool, number)?.pod, 1).await
    }

    /// Makes the server of a pod end each new connection.
    pub(crate) fn fail(&mut self, pool: &str, number: u16) {
        if let Some(server) = self.servers.get(&(pool.to_owned(), number)) {
            server.is_full.store(true, Ordering::Relaxed);
        }
    }

    fn pods(&self) -> anyhow::Result<&Pods> {
        self.pods.as_ref().context("the scene has no pods")
    }

    fn server(&self, pool: &str, number: u16) -> anyhow::Result<&Server> {
        self.servers.get(&(pool.to_owned(), number)).with_context(|| format!("pool {pool} has no pod {number}"))
    }
}

/// Starts an ilb in front of two Traefiks, with a pool that is served and one whose entry point does not exist.
pub(crate) async fn degraded(one: &BareTraefik, two: &BareTraefik) -> anyhow::Result<Scene> {
    let folder = tempfile::Builder::new().prefix("ilb-screenshots-").tempdir()?;
    let address = Net::for_this_process()?.group().address(200, BACKEND_PORT);
    let backend = Backend::start(address, Behaviour::Echo).await?;
    let list = folder.path().join("backends.yaml");
    fs::write(&list, format!("[{{address: '{address}'}}]"))?;
    let pool = |name: &str, entry_point: &str| {
        let list = list.display();
        format!(
            "- {{name: {name}, entryPoint: {entry_point}, file: '{list}', allowLoopback: true, method: roundrobin}}\n"
        )
    };
    let (a, b) = (pool("a", "tcp"), pool("b", "nope"));
    let settings = format!("traefik: {{urls: ['{}', '{}']}}\npools:\n{a}{b}", one.url(), two.url());
    let (ilb, admin) = start_ilb(&folder, &settings, &[])?;
    let parts = (ilb, None, Some(backend), folder);
    Ok(Scene { admin, pods: None, servers: BTreeMap::new(), _tasks: JoinSet::new(), _parts: parts })
}

fn start_ilb(folder: &TempDir, settings: &str, variables: &[(&str, &str)]) -> anyhow::Result<(Ilb, Admin)> {
    let file = folder.path().join("ilb.yaml");
    fs::write(&file, settings)?;
    let admin = Admin::new((Net::for_this_process()?.host()?, 8081).into())?;
    let (file, address) = (file.display().to_string(), admin.address().to_string());
    let mut all = vec![("ILB_CONFIG", file.as_str()), ("ILB_ADMIN_ADDRESS", &address)];
    all.extend(IDENTITY.iter().chain(variables));
    Ok((Ilb::start(&all)?, admin))
}

impl Server {
    async fn start(
        pods: &Pods,
        (pool, number): (&str, u16),
        group: Group,
        index: u16,
        tasks: &mut JoinSet<()>,
    ) -> anyhow::Result<Self> {
        let address = group.address(index, BACKEND_PORT);
        let (listener, is_full) = (TcpListener::bind(address).await?, Arc::new(AtomicBool::new(false)));
        tasks.spawn(serve(listener, Arc::clone(&is_full)));
        let pod = format!("{pool}-7d9f8c6b5d-{}", ENDS[usize::from(number) % ENDS.len()]);
        let place = usize::from(number) % 3;
        pods.create_on(&pod, ["node-a", "node-b", "node-c"][place]).await?;
        let zone = ["eu-1a", "eu-1b", "eu-1c"][place];
        pods.patch(&pod, json!({"metadata": {"labels": {"app": pool, "topology.kubernetes.io/zone": zone}}})).await?;
        pods.set_status(&pod, address.ip(), Readiness::Ready).await?;
        Ok(Self { pod, is_full })
    }
}

/// Sends back each line, or ends connections at once while the server is full.
async fn serve(listener: TcpListener, is_full: Arc<AtomicBool>) {
    let mut sessions = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        if is_full.load(Ordering::Relaxed) {
            continue;
        }
        sessions.spawn(async move {
            let mut stream = BufReader::new(stream);
            let mut line = String::new();
            while stream.read_line(&mut line).await.is_ok_and(|read| read > 0) {
                if stream.write_all(line.as_bytes()).await.is_err() {
                    return;
                }
                line.clear();
            }
        });
        while sessions.try_join_next().is_some() {}
    }
}

/// Opens this many connections a minute, of which each asks something every second and lives for one to four minutes.
async fn clients(entry_point: SocketAddr, per_minute: u64) {
    let mut sessions = JoinSet::new();
    for number in 0_u64.. {
        // A pool without pods has clients as well.
        sleep(Duration::from_millis(60_000 / per_minute.max(6))).await;
        let life = 60 + number * 37 % 180;
        sessions.spawn(async move {
            let Ok(stream) = TcpStream::connect(entry_point).await else { return };
            let (mut stream, mut answer) = (BufReader::new(stream), String::new());
            for request in 0..life {
                // Bytes of its own, since clients that send the same cannot be told apart by the kernel's counts.
                let length = (number * 61 + request * (number % 7 + 1)) % 400;
                let request = format!("{}\n", "x".repeat(usize::try_from(length).unwrap_or_default()));
                let answered = stream.write_all(request.as_bytes()).await.is_ok()
                    && stream.read_line(&mut answer).await.is_ok_and(|read| read > 0);
                if !answered {
                    return;
                }
                answer.clear();
                sleep(Duration::from_secs(1)).await;
            }
        });
        while sessions.try_join_next().is_some() {}
    }
}
