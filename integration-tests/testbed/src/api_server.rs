//! A real API server on a real etcd, without anything else of a cluster.

use std::{
    fmt, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, Weak,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context;
use k8s_openapi::NamespaceResourceScope;
use kube::{
    Api, Client, Config, Resource,
    api::PostParams,
    config::{KubeConfigOptions, Kubeconfig},
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustix::process::Signal;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::Mutex,
};

use crate::{Net, Pods, Process, eventually, tools};

/// A real API server on a real etcd: one of the test's own, or the one that tests share.
pub struct ApiServer {
    servers: Arc<Servers>,
    client: Client,
}

/// The two processes and their files.
#[derive(Debug)]
struct Servers {
    folder: TempDir,
    address: SocketAddr,
    etcd_address: SocketAddr,
    api_server: Option<Process>,
    etcd: Process,
    /// Arguments of the API server beside those that every one has.
    arguments: Vec<String>,
}

/// Beginning and end of the validity of a certificate, since 1970.
type Validity = (Duration, Duration);

/// The token of the administrator.
const TOKEN: &str = "testbed-admin";

impl ApiServer {
    /// Starts both processes and waits until they answer. Only the caller uses them, and so may break them.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(&[]).await
    }

    /// Starts both processes, the API server with these arguments too.
    pub async fn start_with(arguments: &[String]) -> anyhow::Result<Self> {
        let servers = Servers::start(arguments).await?;
        Self::from_servers(Arc::new(servers)).await
    }

    /// Starts both processes, the API server with a certificate that became valid `since` ago and is valid `until` then.
    pub async fn start_with_validity(since: Duration, until: Duration) -> anyhow::Result<Self> {
        #[expect(clippy::disallowed_methods, reason = "certificates are valid by the clock of the calendar")]
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let servers = Servers::start_with_validity(&[], Some((now.saturating_sub(since), now + until))).await?;
        Self::from_servers(Arc::new(servers)).await
    }

    /// Returns the API server that the tests of this process share; it is started if no test uses one at the moment.
    ///
    /// A start costs seconds of processor time, and most tests need no more than a [namespace of their
    /// own](Self::new_namespace). What would disturb other tests returns an error here.
    pub async fn shared() -> anyhow::Result<Self> {
        static SHARED: Mutex<Weak<Servers>> = Mutex::const_new(Weak::new());
        let mut shared = SHARED.lock().await;
        let servers = if let Some(servers) = shared.upgrade() {
            servers
        } else {
            let servers = Arc::new(Servers::start(&[]).await?);
            *shared = Arc::downgrade(&servers);
            servers
        };
        drop(shared);
        Self::from_servers(servers).await
    }

    /// A client works only as long as the runtime in which it was created, so each test has one of its own.
    async fn from_servers(servers: Arc<Servers>) -> anyhow::Result<Self> {
        let client = servers.client().await?;
        Ok(Self { servers, client })
    }

    fn own(&mut self) -> anyhow::Result<&mut Servers> {
        Arc::get_mut(&mut self.servers).context("other tests use this API server too: take ApiServer::start()")
    }

    /// Starts the API server (again) at the same address, on the same data, and waits until it answers.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.own()?.start_api_server().await
    }

    /// Kills the API server; etcd stays.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.own()?.kill_api_server()
    }

    /// Stops the process of the API server: it accepts connections and does not answer, until it is
    /// [resumed](Self::resume).
    pub fn freeze(&mut self) -> anyhow::Result<()> {
        self.own()?.running()?.signal(Signal::STOP)
    }

    /// Lets the stopped API server go on.
    pub fn resume(&mut self) -> anyhow::Result<()> {
        self.own()?.running()?.signal(Signal::CONT)
    }

    /// Stops the process of etcd, until it is [resumed](Self::resume_etcd).
    pub fn freeze_etcd(&mut self) -> anyhow::Result<()> {
        self.own()?.etcd.signal(Signal::STOP)
    }

    /// Lets the stopped etcd go on.
    pub fn resume_etcd(&mut self) -> anyhow::Result<()> {
        self.own()?.etcd.signal(Signal::CONT)
    }

    /// Kills etcd and starts it again on the same data. The API server stays, and reaches it again by itself.
    pub fn restart_etcd(&mut self) -> anyhow::Result<()> {
        let servers = self.own()?;
        servers.etcd.kill()?;
        servers.etcd = start_etcd(servers.folder.path(), servers.etcd_address)?;
        Ok(())
    }

    /// Forgets all history, so that a watch that was open cannot be resumed: its client has to list again.
    pub async fn compact(&mut self) -> anyhow::Result<()> {
        let etcd_address = self.own()?.etcd_address;
        let http = crate::http_client()?;
        let etcd = async |call: &str, body: serde_json::Value| -> anyhow::Result<serde_json::Value> {
            let url = format!("http://{etcd_address}/v3/kv/{call}");
            Ok(http.post(url).json(&body).send().await?.error_for_status()?.json().await?)
        };
        let any_key = json!({"key": "AA=="});
        let revision = etcd("range", any_key).await?["header"]["revision"].clone();
        etcd("compaction", json!({"revision": revision})).await?;
        Ok(())
    }

    /// Kills both processes and starts them without any data, so that resource versions begin again at 1.
    pub async fn lose_all_data(&mut self) -> anyhow::Result<()> {
        let servers = self.own()?;
        servers.kill_api_server()?;
        servers.etcd.kill()?;
        fs::remove_dir_all(servers.folder.path().join("etcd"))?;
        servers.etcd = start_etcd(servers.folder.path(), servers.etcd_address)?;
        servers.start_api_server().await
    }

    /// Returns how many times pods were listed since the API server started.
    pub async fn lists_of_pods(&self) -> anyhow::Result<u64> {
        let metrics = self.client.request_text(http::Request::get("/metrics").body(Vec::new())?).await?;
        let lists = metrics.lines().filter(|line| {
            line.starts_with("apiserver_request_total{")
                && line.contains(r#"resource="pods""#)
                && line.contains(r#"verb="LIST""#)
        });
        Ok(lists.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum())
    }

    /// Returns a client with all rights.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Returns the path of a kubeconfig with all rights.
    pub fn kubeconfig(&self) -> PathBuf {
        self.servers.folder.path().join("kubeconfig")
    }

    /// Leads connections to `via` on to [`address`](Self::address), until the runtime ends: for clients in other network
    /// namespaces, which reach no loopback of this one. Returns the address with its port, which may be given as 0.
    pub async fn forward(&self, via: SocketAddr) -> anyhow::Result<SocketAddr> {
        let target = self.address();
        let listener = TcpListener::bind(via).await.with_context(|| format!("cannot listen at {via}"))?;
        let address = listener.local_addr()?;
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(target).await?;
                    copy_bidirectional(&mut client, &mut server).await
                });
            }
        });
        Ok(address)
    }

    /// Writes a kubeconfig with all rights for a client that connects to `via`, which leads to [`address`](Self::address).
    pub fn kubeconfig_via(&self, via: SocketAddr) -> anyhow::Result<PathBuf> {
        let mut kubeconfig: Value = serde_json::from_str(&fs::read_to_string(self.kubeconfig())?)?;
        let cluster = &mut kubeconfig["clusters"][0]["cluster"];
        cluster["server"] = format!("https://{via}").into();
        cluster["tls-server-name"] = self.address().ip().to_string().into();
        let path = self.servers.folder.path().join(format!("kubeconfig-{}", via.ip()));
        fs::write(&path, kubeconfig.to_string())?;
        Ok(path)
    }

    /// Returns the address of the API server.
    pub fn address(&self) -> SocketAddr {
        self.servers.address
    }

    /// Returns the configuration, with all rights, of a client that connects to `via`, which leads to
    /// [`address`](Self::address).
    pub async fn config(&self, via: SocketAddr) -> anyhow::Result<Config> {
        let mut config = config(self.servers.folder.path()).await?;
        config.cluster_url = format!("https://{via}").parse()?;
        config.tls_server_name = Some(self.address().ip().to_string());
        Ok(config)
    }

    /// Creates the namespace `name`.
    pub async fn namespace(&self, name: &str) -> anyhow::Result<Pods> {
        Pods::in_new_namespace(self.client(), name).await
    }

    /// Creates a namespace whose name begins with `prefix` and that no other test of this process has.
    pub async fn new_namespace(&self, prefix: &str) -> anyhow::Result<Pods> {
        static CREATED: AtomicU32 = AtomicU32::new(1);
        self.namespace(&format!("{prefix}-{}", CREATED.fetch_add(1, Ordering::Relaxed))).await
    }

    /// Creates an object of the type `K` in this namespace, from its JSON.
    pub async fn create<K>(&self, namespace: &str, object: Value) -> anyhow::Result<()>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Serialize
            + DeserializeOwned
            + Clone
            + fmt::Debug,
    {
        let object: K = serde_json::from_value(object)?;
        Api::<K>::namespaced(self.client(), namespace).create(&PostParams::default(), &object).await?;
        Ok(())
    }
}

impl fmt::Debug for ApiServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiServer").field("servers", &self.servers).finish_non_exhaustive()
    }
}

impl Servers {
    async fn start(arguments: &[String]) -> anyhow::Result<Self> {
        Self::start_with_validity(arguments, None).await
    }

    async fn start_with_validity(arguments: &[String], validity: Option<Validity>) -> anyhow::Result<Self> {
        tools::prepare()?;
        let net = Net::for_this_process()?;
        let folder = tempfile::Builder::new().prefix("ilb-api-server-").tempdir()?;
        let address = SocketAddr::from((net.host()?, 6443));
        let etcd_address = SocketAddr::from((net.host()?, 2379));
        write_keys(folder.path(), address, validity)?;
        let etcd = start_etcd(folder.path(), etcd_address)?;
        let arguments = arguments.to_vec();
        let mut this = Self { folder, address, etcd_address, api_server: None, etcd, arguments };
        this.start_api_server().await?;
        Ok(this)
    }

    async fn start_api_server(&mut self) -> anyhow::Result<()> {
        let file = |name: &str| self.folder.path().join(name).display().to_string();
        let mut command = Command::new(tools::path("kube-apiserver")?);
        command.args([
            format!("--etcd-servers=http://{}", self.etcd_address),
            format!("--bind-address={}", self.address.ip()),
            format!("--advertise-address={}", self.address.ip()),
            // Newer ones do not start with an address of loopback that they would have to publish.
            "--endpoint-reconciler-type=none".to_owned(),
            format!("--secure-port={}", self.address.port()),
            format!("--tls-cert-file={}", file("server.crt")),
            format!("--tls-private-key-file={}", file("server.key")),
            format!("--cert-dir={}", file("certificates")),
            format!("--service-account-key-file={}", file("service-account.pub")),
            format!("--service-account-signing-key-file={}", file("service-account.key")),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!("--token-auth-file={}", file("tokens.csv")),
            "--authorization-mode=RBAC".to_owned(),
            "--service-cluster-ip-range=10.96.0.0/24".to_owned(),
            "--disable-admission-plugins=ServiceAccount".to_owned(),
        ]);
        command.args(&self.arguments);
        let log = self.folder.path().join("kube-apiserver.log");
        let client = self.client().await?;
        let process = self.api_server.insert(Process::start("kube-apiserver", &command, &log)?);
        eventually("the API server answers", async || {
            process.check_running()?;
            client.request_text(http::Request::get("/readyz").body(Vec::new())?).await?;
            Ok(())
        })
        .await
    }

    fn kill_api_server(&mut self) -> anyhow::Result<()> {
        self.api_server.take().context("the API server does not run")?.kill()
    }

    fn running(&self) -> anyhow::Result<&Process> {
        self.api_server.as_ref().context("the API server does not run")
    }

    async fn client(&self) -> anyhow::Result<Client> {
        let mut config = config(self.folder.path()).await?;
        config.default_retry = false;
        config.connect_timeout = Some(Duration::from_secs(5));
        Client::try_from(config).with_context(|| format!("no client for the API server at {}", self.address))
    }
}

fn start_etcd(folder: &Path, address: SocketAddr) -> anyhow::Result<Process> {
    let mut command = Command::new(tools::path("etcd")?);
    let (client, peer) = (format!("http://{address}"), format!("http://{}:2380", address.ip()));
    command.args([
        format!("--data-dir={}", folder.join("etcd").display()),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=default={peer}"),
        // Data that is thrown away need not reach the disk.
        "--unsafe-no-fsync".to_owned(),
    ]);
    Process::start("etcd", &command, &folder.join("etcd.log"))
}

/// Writes a certificate authority, a server certificate, the key of service accounts, the token of the administrator and
/// a kubeconfig with that token.
fn write_keys(folder: &Path, address: SocketAddr, validity: Option<Validity>) -> anyhow::Result<()> {
    let authority_key = KeyPair::generate()?;
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_certificate = authority.self_signed(&authority_key)?;
    let key = KeyPair::generate()?;
    let mut certificate = CertificateParams::new([address.ip().to_string()])?;
    if let Some((from, to)) = validity {
        let epoch = date_time_ymd(1970, 1, 1);
        (certificate.not_before, certificate.not_after) = (epoch + from, epoch + to);
    }
    let certificate = certificate.signed_by(&key, &Issuer::new(authority, authority_key))?;
    fs::write(folder.join("authority.crt"), authority_certificate.pem())?;
    fs::write(folder.join("server.crt"), certificate.pem())?;
    fs::write(folder.join("server.key"), key.serialize_pem())?;
    let service_accounts = KeyPair::generate()?;
    fs::write(folder.join("service-account.key"), service_accounts.serialize_pem())?;
    fs::write(folder.join("service-account.pub"), service_accounts.public_key_pem())?;
    fs::write(folder.join("tokens.csv"), format!("{TOKEN},admin,admin,system:masters\n"))?;
    let kubeconfig = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "testbed", "cluster": {
            "server": format!("https://{address}"),
            "certificate-authority": folder.join("authority.crt"),
        }}],
        "users": [{"name": "admin", "user": {"token": TOKEN}}],
        "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": "admin"}}],
        "current-context": "testbed",
    });
    fs::write(folder.join("kubeconfig"), kubeconfig.to_string())?; // JSON is YAML
    Ok(())
}

async fn config(folder: &Path) -> anyhow::Result<Config> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let kubeconfig = Kubeconfig::read_from(folder.join("kubeconfig"))?;
    Ok(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)
}
