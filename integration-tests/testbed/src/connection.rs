//! Connections of clients.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, bail, ensure};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};

/// A client's connection that has reached a [`Backend`](crate::Backend).
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
    backend: SocketAddr,
}

/// Time limit for each step of a client: far longer than any takes in a working system.
const STEP_LIMIT: Duration = Duration::from_secs(20);

impl Connection {
    /// Connects to `address` and reads which backend answers. An error says what happened instead.
    pub async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = timeout(STEP_LIMIT, TcpStream::connect(address)).await.context("connecting timed out")??;
        stream.set_nodelay(true)?;
        let mut stream = BufReader::new(stream);
        let line = read_line(&mut stream).await?;
        let backend = line.parse().with_context(|| format!("the server sent {line:?}"))?;
        Ok(Self { stream, backend })
    }

    /// Returns the backend that it reached.
    pub fn backend(&self) -> SocketAddr {
        self.backend
    }

    /// Sends a line and waits for its echo.
    pub async fn check_alive(&mut self) -> anyhow::Result<()> {
        self.stream.write_all(b"still there?\n").await?;
        let line = read_line(&mut self.stream).await?;
        ensure!(line == "still there?", "the backend sent {line:?}");
        Ok(())
    }

    /// Shuts down the sending side and reads the rest of what the backend sends.
    pub async fn end_and_read(mut self) -> anyhow::Result<String> {
        self.stream.shutdown().await?;
        let mut rest = String::new();
        timeout(STEP_LIMIT, self.stream.read_to_string(&mut rest)).await.context("reading timed out")??;
        Ok(rest)
    }
}

async fn read_line(stream: &mut BufReader<TcpStream>) -> anyhow::Result<String> {
    let mut line = String::new();
    if timeout(STEP_LIMIT, stream.read_line(&mut line)).await.context("reading timed out")?? == 0 {
        bail!("the connection was closed");
    }
    Ok(line.trim_end().to_owned())
}
