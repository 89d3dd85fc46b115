//! A server that sends many events which change nothing.

use std::net::SocketAddr;

use ilb_testbed::Net;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Number of events that change nothing.
pub(crate) const EVENTS: u32 = 20_000;

/// A server that answers a list with one pod, and a watch with many events that change nothing and one that deletes the pod.
///
/// The real API server could not send them fast enough to measure the time of one.
pub(crate) struct Server {
    address: SocketAddr,
}

impl Server {
    pub(crate) async fn start(pod: &str) -> anyhow::Result<Self> {
        let pod: Value = serde_json::from_str(pod)?;
        let listener = TcpListener::bind((Net::for_this_process()?.host()?, 0)).await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, pod.clone()));
            }
        });
        Ok(Self { address })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn serve(mut stream: TcpStream, pod: Value) -> std::io::Result<()> {
    let version = pod["metadata"]["resourceVersion"].clone();
    let mut request = vec![0; 8 << 10];
    loop {
        let read = stream.read(&mut request).await?;
        if read == 0 {
            return Ok(());
        }
        if String::from_utf8_lossy(&request[..read]).contains("watch=true") {
            break;
        }
        let list = json!({"metadata": {"resourceVersion": version}, "items": [pod]}).to_string();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", list.len());
        stream.write_all((head + &list).as_bytes()).await?;
    }
    // The API server, too, sends the kind first.
    let event = |kind: &str| format!("{{\"type\":\"{kind}\",\"object\":{pod}}}\n");
    let (modified, deleted) = (event("MODIFIED"), event("DELETED"));
    // Without a length the answer lasts until the connection is closed.
    stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").await?;
    for _ in 0..EVENTS {
        stream.write_all(modified.as_bytes()).await?;
    }
    stream.write_all(deleted.as_bytes()).await?;
    stream.read(&mut request).await.map(drop)
}
