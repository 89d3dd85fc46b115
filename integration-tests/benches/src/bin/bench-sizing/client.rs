//! A connection of a client that exchanges data.

use std::net::SocketAddr;

use anyhow::ensure;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Bytes of the longest line: a backend keeps a line until it is whole.
const LINE_BYTES: usize = 16 * 1024;

/// A connection that has reached a backend.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
}

impl Client {
    /// Connects, and reads the backend's first line.
    pub(crate) async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        while stream.read_u8().await? != b'\n' {}
        Ok(Self { stream })
    }

    /// Sends `bytes` bytes in lines, and waits for the echo of each.
    pub(crate) async fn exchange(&mut self, bytes: usize) -> anyhow::Result<()> {
        let mut left = bytes;
        while left > 0 {
            let length = left.min(LINE_BYTES);
            let mut line = vec![b'x'; length];
            line[length - 1] = b'\n';
            self.stream.write_all(&line).await?;
            let mut echo = vec![0; length];
            self.stream.read_exact(&mut echo).await?;
            ensure!(echo == line, "the echo differs from what was sent");
            left -= length;
        }
        Ok(())
    }
}
