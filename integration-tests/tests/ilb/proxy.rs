//! The proxy that the environment names is used as kubectl uses it, or named where it cannot be used.

use std::{fs, net::SocketAddr};

use ilb_testbed::{
    ApiServer, Backend, Behaviour, ConnectProxy, Ilb, Net, Pods, ROUND_ROBIN, Traefik, Tunnel, World, add_address,
    alone_in_a_network, pod_ip,
};
use serde_json::{Value, json};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};

use crate::configured::{Configured, PORT, folder, until_landed};

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn an_api_server_on_loopback_is_reached_without_the_proxy() {
    // Nothing listens at this proxy.
    let world = World::with(1, &[ROUND_ROBIN, ("HTTPS_PROXY", "http://127.0.0.1:9")]).await.unwrap();
    world.wait_until_in_force(1).await.unwrap();
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_proxy_that_cannot_be_used_is_named_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    let content = json!({
        "clusters": [{"name": "a", "cluster": {"server": "https://api.example:6443"}}],
        "users": [{"name": "a", "user": {"token": "a"}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "current-context": "a",
    });
    fs::write(&kubeconfig, content.to_string()).unwrap();
    let kubeconfig = kubeconfig.display().to_string();
    for (proxy, parts) in [
        ("https://user:secret@proxy.example:3128", &["https://proxy.example", "HTTPS_PROXY", "NO_PROXY"][..]),
        ("http://user:secret@a b", &["HTTPS_PROXY is not the URL of a proxy"]),
    ] {
        let variables = [("POD_LABELS", "app=my-app"), ("KUBECONFIG", kubeconfig.as_str()), ("HTTPS_PROXY", proxy)];
        let exit = Ilb::run_to_end(&variables).await.unwrap();
        assert_eq!(exit.code, Some(2), "{exit:?}");
        assert!(parts.iter().all(|part| exit.output.contains(part)), "{exit:?}");
        assert!(!exit.output.contains("secret"), "{exit:?}");
    }
}

/// An API server with one pod, and what an ilb needs to serve that.
struct Scene {
    api_server: ApiServer,
    pods: Pods,
    traefik: Traefik,
    backends: [Backend; 2],
}

impl Scene {
    async fn start() -> Self {
        let api_server = ApiServer::start().await.unwrap();
        let pods = api_server.new_namespace("proxied").await.unwrap();
        let group = Net::for_this_process().unwrap().group();
        let start = async |index| Backend::start(group.address(index, PORT), Behaviour::Echo).await.unwrap();
        let backends = [start(0).await, start(1).await];
        pods.create_ready("pod-0", backends[0].address().ip()).await.unwrap();
        Self { api_server, pods, traefik: Traefik::start().await.unwrap(), backends }
    }

    /// Starts an ilb that knows the API server by this URL.
    fn ilb(&self, url: &str, variables: &[(&str, &str)]) -> Configured {
        let folder = folder();
        let mut kubeconfig: Value =
            serde_json::from_str(&fs::read_to_string(self.api_server.kubeconfig()).unwrap()).unwrap();
        let cluster = &mut kubeconfig["clusters"][0]["cluster"];
        cluster["server"] = url.into();
        cluster["tls-server-name"] = self.api_server.address().ip().to_string().into();
        let file = folder.path().join("kubeconfig");
        fs::write(&file, kubeconfig.to_string()).unwrap();
        let settings = format!(
            "traefik: {{urls: ['{}']}}\npools:\n- {{name: a, entryPoint: tcp, selector: {}, namespaces: [{}], \
             backendPort: {PORT}, allowLoopback: true}}\n",
            self.traefik.rest_url(),
            Pods::SELECTOR,
            self.pods.namespace(),
        );
        let mut all = vec![("KUBECONFIG", file.to_str().unwrap())];
        all.extend_from_slice(variables);
        Configured::start(folder, &settings, &all)
    }

    /// Replaces the pod, and waits until new connections go to the other one.
    async fn replace_pod(&self) {
        self.pods.create_ready("pod-1", self.backends[1].address().ip()).await.unwrap();
        self.pods.remove("pod-0").await.unwrap();
        until_landed(&self.traefik, 3333, &self.backends[1]).await;
    }
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn an_api_server_whose_name_only_the_proxy_knows_is_followed_through_it() {
    let scene = Scene::start().await;
    let proxy = ConnectProxy::start(scene.api_server.address()).await.unwrap();
    let url = format!("http://user:secret@{}", proxy.address());
    let configured =
        scene.ilb("https://api.example:6443", &[("HTTPS_PROXY", &url), ("NO_PROXY", "10.0.0.0/8,.other.example")]);
    until_landed(&scene.traefik, 3333, &scene.backends[0]).await;
    scene.replace_pod().await;
    let expected =
        Tunnel { target: "api.example:6443".to_owned(), authorization: Some("Basic dXNlcjpzZWNyZXQ=".to_owned()) };
    let tunnels = proxy.tunnels();
    assert!(!tunnels.is_empty() && tunnels.iter().all(|tunnel| *tunnel == expected), "{tunnels:?}");
    assert!(!configured.ilb.output().unwrap().contains("secret"));
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn an_api_server_that_no_proxy_lists_is_followed_without_the_proxy() {
    if !alone_in_a_network("proxy::an_api_server_that_no_proxy_lists_is_followed_without_the_proxy").unwrap() {
        return;
    }
    let scene = Scene::start().await;
    let proxy = ConnectProxy::start(scene.api_server.address()).await.unwrap();
    // Loopback would be reached without a proxy in any case.
    let address = SocketAddr::from((pod_ip(7), 6443));
    add_address(address.ip()).unwrap();
    forward(address, scene.api_server.address()).await;
    let (server, url) = (format!("https://{address}"), format!("http://{}", proxy.address()));
    let through = scene.ilb(&server, &[("HTTPS_PROXY", &url), ("NO_PROXY", "10.2.0.0/16")]);
    until_landed(&scene.traefik, 3333, &scene.backends[0]).await;
    let tunnels = proxy.tunnels();
    assert!(!tunnels.is_empty() && tunnels.iter().all(|tunnel| tunnel.target == address.to_string()), "{tunnels:?}");
    drop(through);

    let _directly = scene.ilb(&server, &[("HTTPS_PROXY", &url), ("NO_PROXY", "api.example,10.1.0.0/16")]);
    scene.replace_pod().await;
    assert_eq!(proxy.tunnels().len(), tunnels.len(), "none was asked for");
}

/// Forwards connections to `address` to a server.
async fn forward(address: SocketAddr, server: SocketAddr) {
    let listener = TcpListener::bind(address).await.unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut server = TcpStream::connect(server).await?;
                copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
}
