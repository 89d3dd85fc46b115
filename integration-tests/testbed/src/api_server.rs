use std::{fs, net::SocketAddr, path::Path, process::Command, time::Duration};

use anyhow::Context;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;

use crate::{Net, Pods, Process, Tools, eventually};

/// A real API server on a real etcd.
pub struct ApiServer {
    folder: TempDir,
    address: SocketAddr,
    etcd: SocketAddr,
    server: Option<Process>,
    etcd_process: Process,
    client: Client,
}

const TOKEN: &str = "testbed-admin";

impl ApiServer {
    /// Starts both and waits until they answer.
    pub async fn start() -> anyhow::Result<Self> {
        let (tools, net) = (Tools::get()?, Net::of_this_process()?);
        let folder = tempfile::Builder::new().prefix("ilb-api-server-").tempdir()?;
        let address = SocketAddr::from((net.host()?, 6443));
        let etcd = SocketAddr::from((net.host()?, 2379));
        write_keys(folder.path(), address)?;
        let etcd_process = start_etcd(tools, folder.path(), etcd)?;
        let client = client(folder.path(), address).await?;
        let mut this = Self { folder, address, etcd, server: None, etcd_process, client };
        this.restart().await?;
        Ok(this)
    }

    /// Starts the API server (again) at the same address, on the same data, and waits until it answers.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        let file = |name: &str| self.folder.path().join(name).display().to_string();
        let mut command = Command::new(Tools::get()?.path("kube-apiserver")?);
        command.args([
            format!("--etcd-servers=http://{}", self.etcd),
            format!("--bind-address={}", self.address.ip()),
            format!("--advertise-address={}", self.address.ip()),
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
        let log = self.folder.path().join("kube-apiserver.log");
        self.server = Some(Process::start("kube-apiserver", &command, &log)?);
        eventually("the API server answers", async || {
            if let Some(server) = &mut self.server {
                server.check_running()?;
            }
            self.client.request_text(http::Request::get("/readyz").body(Vec::new())?).await?;
            Ok(())
        })
        .await
    }

    /// Kills the API server; etcd stays.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.server.take().context("the API server does not run")?.kill()
    }

    /// Forgets all history, so that a watch that was open cannot be resumed: its client has to list again.
    pub async fn compact(&self) -> anyhow::Result<()> {
        let http = crate::http_client()?;
        let etcd = async |call: &str, body: serde_json::Value| -> anyhow::Result<serde_json::Value> {
            let url = format!("http://{}/v3/kv/{call}", self.etcd);
            Ok(http.post(url).json(&body).send().await?.error_for_status()?.json().await?)
        };
        let any_key = json!({"key": "AA=="});
        let revision = etcd("range", any_key).await?["header"]["revision"].clone();
        etcd("compaction", json!({"revision": revision})).await?;
        Ok(())
    }

    /// How often pods were listed since the API server started.
    pub async fn lists_of_pods(&self) -> anyhow::Result<u64> {
        let metrics = self.client.request_text(http::Request::get("/metrics").body(Vec::new())?).await?;
        let lists = metrics.lines().filter(|line| {
            line.starts_with("apiserver_request_total{")
                && line.contains(r#"resource="pods""#)
                && line.contains(r#"verb="LIST""#)
        });
        Ok(lists.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum())
    }

    /// A client with all rights.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// A kubeconfig with all rights.
    pub fn kubeconfig(&self) -> std::path::PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What a client needs that reaches it at `via`, which leads to its [address](Self::address), with all rights.
    pub async fn config(&self, via: SocketAddr) -> anyhow::Result<Config> {
        let mut config = config(self.folder.path()).await?;
        config.cluster_url = format!("https://{via}").parse()?;
        config.tls_server_name = Some(self.address.ip().to_string());
        Ok(config)
    }

    /// Stops the API server's process, or lets it go on: while it is stopped it accepts connections and says nothing.
    pub fn freeze(&self, frozen: bool) -> anyhow::Result<()> {
        freeze(self.server.as_ref().context("the API server does not run")?, frozen)
    }

    /// The same for etcd.
    pub fn freeze_etcd(&self, frozen: bool) -> anyhow::Result<()> {
        freeze(&self.etcd_process, frozen)
    }

    /// Kills both, starts an etcd without data, and the API server on it: its history begins anew.
    pub async fn lose_all_data(&mut self) -> anyhow::Result<()> {
        self.kill()?;
        self.etcd_process.kill()?;
        fs::remove_dir_all(self.folder.path().join("etcd"))?;
        self.etcd_process = start_etcd(Tools::get()?, self.folder.path(), self.etcd)?;
        self.restart().await
    }

    /// A new namespace for pods.
    pub async fn namespace(&self, name: &str) -> anyhow::Result<Pods> {
        Pods::in_new_namespace(self.client(), name).await
    }
}

fn freeze(process: &Process, frozen: bool) -> anyhow::Result<()> {
    process.signal(if frozen { Signal::STOP } else { Signal::CONT })
}

fn start_etcd(tools: &Tools, folder: &Path, address: SocketAddr) -> anyhow::Result<Process> {
    let mut command = Command::new(tools.path("etcd")?);
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

/// A certificate authority, a server certificate, the key of service accounts, the token of the administrator and a
/// kubeconfig that holds it.
fn write_keys(folder: &Path, address: SocketAddr) -> anyhow::Result<()> {
    let authority_key = KeyPair::generate()?;
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_certificate = authority.self_signed(&authority_key)?;
    let key = KeyPair::generate()?;
    let certificate =
        CertificateParams::new([address.ip().to_string()])?.signed_by(&key, &Issuer::new(authority, authority_key))?;
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

async fn client(folder: &Path, address: SocketAddr) -> anyhow::Result<Client> {
    let mut config = config(folder).await?;
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(5));
    Client::try_from(config).with_context(|| format!("no client for the API server at {address}"))
}
