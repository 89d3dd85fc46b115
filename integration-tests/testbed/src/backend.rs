//! Backends: TCP servers that name themselves.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

/// A TCP server that begins each connection with a line that holds its own address.
///
/// Dropping it ends it and its connections.
#[derive(Debug)]
pub struct Backend {
    address: SocketAddr,
    task: JoinHandle<()>,
}

/// The behaviour of a backend after its first line.
#[derive(Clone, Copy, Debug)]
pub enum Behaviour {
    /// Sends back each line.
    Echo,
    /// Sends back each line this much later.
    EchoLater(Duration),
    /// Sends back each line this much later. At the line `end` it shuts down its sending side, and goes on reading.
    EchoUntilEnd(Duration),
    /// Reads until the client shuts down its sending side, and answers `done` this much later.
    AnswerAfterEnd(Duration),
}

impl Backend {
    /// Starts a backend that listens at `address`.
    pub async fn start(address: SocketAddr, behaviour: Behaviour) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen at {address}"))?;
        let task = tokio::spawn(async move {
            let mut sessions = JoinSet::new();
            loop {
                // Errors of `accept` concern one connection, or a full table of files: the next call may succeed.
                if let Ok((stream, _)) = listener.accept().await {
                    sessions.spawn(serve(stream, address, behaviour));
                }
                while sessions.try_join_next().is_some() {}
            }
        });
        Ok(Self { address, task })
    }

    /// Returns the address that it listens at.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(stream: TcpStream, address: SocketAddr, behaviour: Behaviour) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    stream.write_all(format!("{address}\n").as_bytes()).await?;
    match behaviour {
        Behaviour::Echo => echo(&mut stream, Duration::ZERO).await?,
        Behaviour::EchoLater(delay) => echo(&mut stream, delay).await?,
        Behaviour::EchoUntilEnd(delay) => {
            let mut line = String::new();
            while stream.read_line(&mut line).await? > 0 {
                if line == "end\n" {
                    stream.shutdown().await?;
                    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
                    return Ok(());
                }
                tokio::time::sleep(delay).await;
                stream.write_all(line.as_bytes()).await?;
                line.clear();
            }
        }
        Behaviour::AnswerAfterEnd(delay) => {
            let mut request = Vec::new();
            stream.read_to_end(&mut request).await?;
            tokio::time::sleep(delay).await;
            stream.write_all(b"done\n").await?;
        }
    }
    stream.shutdown().await
}

async fn echo(stream: &mut BufReader<TcpStream>, delay: Duration) -> std::io::Result<()> {
    let mut line = Vec::new();
    while stream.read_until(b'\n', &mut line).await? > 0 {
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        stream.write_all(&line).await?;
        line.clear();
    }
    Ok(())
}
