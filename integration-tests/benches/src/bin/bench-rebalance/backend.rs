//! Backends that serve requests.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    runtime::Handle,
    task::{JoinHandle, JoinSet},
    time::sleep,
};

/// Port of the backends.
pub(crate) const PORT: u16 = 5432;
/// Network of the backends.
pub(crate) const NETWORK: &str = "10.9.0.0/16";

/// Numbers of the requests that reached a backend and whose responses no client has got.
#[derive(Debug, Default)]
pub(crate) struct Arrived(Mutex<HashSet<u64>>);

/// A TCP server that greets each connection with its own address, and serves requests: lines with the milliseconds that
/// each takes, and its number.
///
/// Dropping it ends it and its connections.
#[derive(Debug)]
pub(crate) struct Backend {
    task: JoinHandle<()>,
}

/// Returns the address of a backend, which is none of loopback.
pub(crate) fn address(index: usize) -> SocketAddr {
    let [high, low] = u16::try_from(index + 1).unwrap_or(u16::MAX).to_be_bytes();
    SocketAddr::from(([10, 9, high, low], PORT))
}

impl Backend {
    /// Starts a backend as a task of `runtime`.
    pub(crate) async fn start(runtime: &Handle, index: usize, arrived: Arc<Arrived>) -> anyhow::Result<Self> {
        let address = address(index);
        let listener = runtime.spawn(TcpListener::bind(address)).await?;
        let listener = listener.with_context(|| format!("cannot listen at {address}"))?;
        Ok(Self { task: runtime.spawn(accept(listener, address, arrived)) })
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Arrived {
    fn add(&self, request: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(request);
    }

    /// Returns whether a request has reached a backend.
    pub(crate) fn has(&self, request: u64) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&request)
    }

    /// Forgets a request whose client has got the response.
    pub(crate) fn forget(&self, request: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&request);
    }
}

async fn accept(listener: TcpListener, address: SocketAddr, arrived: Arc<Arrived>) {
    let mut sessions = JoinSet::new();
    loop {
        // Errors of `accept` concern one connection, or a full table of files: the next call may succeed.
        if let Ok((stream, _)) = listener.accept().await {
            sessions.spawn(serve(stream, address, Arc::clone(&arrived)));
        }
        while sessions.try_join_next().is_some() {}
    }
}

async fn serve(stream: TcpStream, address: SocketAddr, arrived: Arc<Arrived>) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    stream.write_all(format!("{address}\n").as_bytes()).await?;
    let mut request = String::new();
    while stream.read_line(&mut request).await? > 0 {
        let (millis, number) = request.trim().split_once(' ').context("no request")?;
        arrived.add(number.parse()?);
        let takes = Duration::from_millis(millis.parse()?);
        if !takes.is_zero() {
            sleep(takes).await;
        }
        stream.write_all(RESPONSE.as_bytes()).await?;
        request.clear();
    }
    Ok(())
}

/// The response to each request.
pub(crate) const RESPONSE: &str = "done\n";
