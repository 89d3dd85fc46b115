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

/// No step of a client takes this long in a working system.
const PATIENCE: Duration = Duration::from_secs(20);

impl Connection {
    /// Connects to `address` and reads which backend answers. An error says how the connection ended instead.
    pub async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = timeout(PATIENCE, TcpStream::connect(address)).await.context("connecting hangs")??;
        stream.set_nodelay(true)?;
        let mut stream = BufReader::new(stream);
        let line = read_line(&mut stream).await?;
        let backend = line.parse().with_context(|| format!("the server said {line:?}"))?;
        Ok(Self { stream, backend })
    }

    /// The backend that it landed on.
    pub fn backend(&self) -> SocketAddr {
        self.backend
    }

    /// Sends a line and waits for it to come back.
    pub async fn check_alive(&mut self) -> anyhow::Result<()> {
        self.stream.write_all(b"still there?\n").await?;
        let line = read_line(&mut self.stream).await?;
        ensure!(line == "still there?", "the backend said {line:?}");
        Ok(())
    }

    /// Shuts down the sending side and reads everything that still comes.
    pub async fn end_and_read(mut self) -> anyhow::Result<String> {
        self.stream.shutdown().await?;
        let mut rest = String::new();
        timeout(PATIENCE, self.stream.read_to_string(&mut rest)).await.context("reading hangs")??;
        Ok(rest)
    }
}

async fn read_line(stream: &mut BufReader<TcpStream>) -> anyhow::Result<String> {
    let mut line = String::new();
    if timeout(PATIENCE, stream.read_line(&mut line)).await.context("reading hangs")?? == 0 {
        bail!("the connection was closed");
    }
    Ok(line.trim_end().to_owned())
}
