//! A port of this machine that leads to a port of a pod, as `kubectl port-forward` opens one.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context;
use k8s_openapi::api::core::v1;
use kube::{Api, Client};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
    time::timeout,
};

use super::pods::Pod;

/// Forwarded port. Dropping it closes the port and its connections.
#[derive(Debug)]
pub(crate) struct Forward {
    address: SocketAddr,
    problem: Arc<Mutex<Option<String>>>,
    task: JoinHandle<()>,
}

/// Maximum wait for the API server and the kubelet to connect to the pod.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

impl Forward {
    /// Opens a port on loopback, each connection to which leads to the admin server of `pod`.
    pub(super) async fn open(client: &Client, pod: &Pod) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.context("cannot open a port on loopback")?;
        let address = listener.local_addr().context("cannot open a port on loopback")?;
        let problem = Arc::new(Mutex::new(None));
        let api = Api::<v1::Pod>::namespaced(client.clone(), &pod.namespace);
        let task = tokio::spawn(accept(listener, api, (pod.name.clone(), pod.port), Arc::clone(&problem)));
        Ok(Self { address, problem, task })
    }

    /// Returns the URL of the admin server.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the reason why the last connection could not be forwarded, if there is one.
    pub(super) fn problem(&self) -> Option<String> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Forwards each connection until the task is aborted.
async fn accept(listener: TcpListener, api: Api<v1::Pod>, to: (String, u16), problem: Arc<Mutex<Option<String>>>) {
    let mut connections = JoinSet::new();
    while let Ok((mut connection, _)) = listener.accept().await {
        let (api, to, problem) = (api.clone(), to.clone(), Arc::clone(&problem));
        connections.spawn(async move {
            let result = forward(&mut connection, &api, &to).await;
            *problem.lock().unwrap_or_else(PoisonError::into_inner) = result.err().map(|error| format!("{error:#}"));
            // Only now, so that whoever sees the end finds the reason.
            drop(connection);
        });
        while connections.try_join_next().is_some() {}
    }
}

/// Forwards a connection to its end.
async fn forward(connection: &mut TcpStream, api: &Api<v1::Pod>, (pod, port): &(String, u16)) -> anyhow::Result<()> {
    let opened = timeout(CONNECT_TIMEOUT, api.portforward(pod, &[*port])).await;
    let mut forwarder = opened.context("the port was not forwarded in time")??;
    let (stream, reason) = (forwarder.take_stream(*port), forwarder.take_error(*port));
    let (mut stream, reason) = stream.zip(reason).context("the port was not forwarded")?;
    tokio::select! {
        biased;
        // The kubelet says why it could not connect. Without a reason, the end is that of the connection.
        Some(reason) = reason => anyhow::bail!("{}", reason.trim()),
        // A reset by either side is an ordinary end.
        _ = copy_bidirectional(connection, &mut stream) => Ok(()),
    }
}
