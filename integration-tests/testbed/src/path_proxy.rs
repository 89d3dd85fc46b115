//! A proxy that serves another server below a path, as `kubectl proxy` and an Ingress do.

use std::net::SocketAddr;

use anyhow::Context;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

use crate::Net;

/// Serves a server below a path: the path is taken from each request, and the connection is passed on. It serves one request
/// for each connection.
#[derive(Debug)]
pub struct PathProxy {
    address: SocketAddr,
    path: String,
    listener: JoinHandle<()>,
}

impl PathProxy {
    /// Starts to serve `server` below `path`.
    pub async fn start(path: &str, server: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Net::for_this_process()?.host()?, 8_001)).await?;
        let (address, below) = (listener.local_addr()?, path.to_owned());
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let below = below.clone();
                connections.spawn(async move {
                    // A browser that is gone is no failure.
                    let _ = pass_on(client, &below, server).await;
                });
            }
        });
        Ok(Self { address, path: path.to_owned(), listener: task })
    }

    /// Returns the URL that leads to this path of the server.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{}{path}", self.address, self.path)
    }
}

impl Drop for PathProxy {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

async fn pass_on(client: TcpStream, below: &str, server: SocketAddr) -> anyhow::Result<()> {
    let mut client = BufReader::new(client);
    let mut line = String::new();
    client.read_line(&mut line).await?;
    let (method, rest) = line.split_once(' ').context("a request has a method")?;
    let mut upstream = TcpStream::connect(server).await?;
    let line = match rest.strip_prefix(below) {
        Some(rest) => format!("{method} {rest}"),
        None => format!("{method} /outside-of-the-path HTTP/1.1\r\n"),
    };
    upstream.write_all(line.as_bytes()).await?;
    // The next request on the same connection would keep its path.
    upstream.write_all(b"Connection: close\r\n").await?;
    loop {
        let mut header = String::new();
        client.read_line(&mut header).await?;
        if !header.to_ascii_lowercase().starts_with("connection:") {
            upstream.write_all(header.as_bytes()).await?;
        }
        if header.trim().is_empty() {
            break;
        }
    }
    copy_bidirectional(&mut client, &mut upstream).await?;
    Ok(())
}
