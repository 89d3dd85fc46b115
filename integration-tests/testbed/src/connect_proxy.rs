//! A proxy for HTTP clients, which reach servers behind it by tunnels.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::Net;

/// An HTTP proxy that opens tunnels (`CONNECT`). All of them lead to one server, whatever the target is called: like a proxy
/// that can look up names which its clients cannot.
///
/// Dropping it ends no tunnel, but accepts no other one.
#[derive(Debug)]
pub struct ConnectProxy {
    address: SocketAddr,
    tunnels: Arc<Mutex<Vec<Tunnel>>>,
    listener: JoinHandle<()>,
}

/// A tunnel that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// Name or address, and port.
    pub target: String,
    /// Value of the header `Proxy-Authorization`.
    pub authorization: Option<String>,
}

/// Maximum size of a request in bytes.
const MAX_REQUEST_BYTES: usize = 8 << 10;

impl ConnectProxy {
    /// Starts a proxy whose tunnels lead to `server`.
    pub async fn start(server: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Net::for_this_process()?.host()?, 3128)).await?;
        let address = listener.local_addr()?;
        let tunnels = Arc::default();
        let shared = Arc::clone(&tunnels);
        let listener = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, server, Arc::clone(&shared)));
            }
        });
        Ok(Self { address, tunnels, listener })
    }

    /// Returns the address that it listens at.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the tunnels so far.
    pub fn tunnels(&self) -> Vec<Tunnel> {
        self.tunnels.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for ConnectProxy {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

async fn serve(mut client: TcpStream, server: SocketAddr, tunnels: Arc<Mutex<Vec<Tunnel>>>) -> anyhow::Result<()> {
    let Ok(tunnel) = read_request(&mut client).await else {
        client.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await?;
        return Ok(());
    };
    tunnels.lock().unwrap_or_else(PoisonError::into_inner).push(tunnel);
    let mut server = TcpStream::connect(server).await?;
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

async fn read_request(client: &mut TcpStream) -> anyhow::Result<Tunnel> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        ensure!(head.len() < MAX_REQUEST_BYTES, "the request is too long");
        head.push(client.read_u8().await?);
    }
    let head = String::from_utf8(head)?;
    let target = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()).context("it is no CONNECT")?;
    let authorization = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("proxy-authorization").then(|| value.trim().to_owned())
    });
    Ok(Tunnel { target: target.to_owned(), authorization })
}
