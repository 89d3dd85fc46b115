//! Backends that can begin to fail.

use std::net::SocketAddr;

use anyhow::Context;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    select,
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use crate::failure::Failure;

/// A TCP server that greets each connection with its own address, and answers each line with the same line.
///
/// Dropping it ends it and its connections.
pub(crate) struct Backend {
    failure: watch::Sender<Option<Failure>>,
    task: JoinHandle<()>,
}

/// The greeting of a backend that is full.
const FULL: &[u8] = b"full\n";

impl Backend {
    /// Starts a backend that listens at `address` and works.
    pub(crate) async fn start(address: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen at {address}"))?;
        let (failure, failing) = watch::channel(None);
        Ok(Self { failure, task: tokio::spawn(accept(listener, address, failing)) })
    }

    /// Makes the backend fail from now on.
    pub(crate) fn fail(&self, how: Failure) {
        self.failure.send_replace(Some(how));
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, address: SocketAddr, mut failing: watch::Receiver<Option<Failure>>) {
    let mut sessions = JoinSet::new();
    loop {
        let accepted = select! {
            Ok(()) = failing.changed() => {
                if failing.borrow().is_some_and(Failure::closes_open_connections) {
                    sessions.shutdown().await;
                }
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        // Errors of `accept` concern one connection, or a full table of files: the next call may succeed.
        let Ok((stream, _)) = accepted else { continue };
        while sessions.try_join_next().is_some() {}
        let failure = *failing.borrow();
        match failure {
            Some(Failure::Full(limit)) if sessions.len() >= limit => drop(tokio::spawn(refuse(stream))),
            _ => drop(sessions.spawn(serve(stream, address, failure))),
        }
    }
}

async fn refuse(mut stream: TcpStream) -> std::io::Result<()> {
    stream.write_all(FULL).await?;
    stream.shutdown().await
}

async fn serve(stream: TcpStream, address: SocketAddr, failure: Option<Failure>) -> std::io::Result<()> {
    if matches!(failure, Some(Failure::AcceptsThenCloses)) {
        return Ok(());
    }
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    stream.write_all(format!("{address}\n").as_bytes()).await?;
    if matches!(failure, Some(Failure::GreetsThenCloses)) {
        return stream.shutdown().await;
    }
    let mut line = Vec::new();
    while stream.read_until(b'\n', &mut line).await? > 0 {
        if matches!(failure, Some(Failure::ClosesAfterRequest)) {
            break;
        }
        stream.write_all(&line).await?;
        line.clear();
    }
    stream.shutdown().await
}
