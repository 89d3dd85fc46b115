//! Backends that can begin to fail, and stop failing.

use std::net::SocketAddr;

use anyhow::Context;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::{Duration, timeout},
};

/// A TCP server that begins each connection with a line that holds its own address, and sends back each line.
///
/// Dropping it ends it and its connections.
pub(crate) struct Server {
    manner: watch::Sender<Manner>,
    task: JoinHandle<()>,
}

/// Treatment of new connections. Older ones always work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Works,
    /// Closes each without a byte.
    Closes,
    /// Closes each after a line that says why.
    IsFull,
}

impl Server {
    /// Starts a server that works.
    pub(crate) async fn start(address: SocketAddr) -> anyhow::Result<Self> {
        // Its predecessor at this address may be on its way out.
        let listen = async || TcpListener::bind(address).await.with_context(|| format!("cannot listen at {address}"));
        let listener = ilb_testbed::eventually("the address is free", listen).await?;
        let (manner, follow) = watch::channel(Manner::Works);
        let task = tokio::spawn(async move {
            let mut sessions = JoinSet::new();
            loop {
                // Errors of `accept` concern one connection: the next call may succeed.
                if let Ok((stream, _)) = listener.accept().await {
                    let manner = *follow.borrow();
                    sessions.spawn(serve(stream, address, manner));
                }
                while sessions.try_join_next().is_some() {}
            }
        });
        Ok(Self { manner, task })
    }

    /// Changes the treatment of new connections.
    pub(crate) fn set(&self, manner: Manner) {
        self.manner.send_replace(manner);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(stream: TcpStream, address: SocketAddr, manner: Manner) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    match manner {
        Manner::Closes => return Ok(()),
        Manner::IsFull => {
            stream.write_all(b"full\n").await?;
            return stream.shutdown().await;
        }
        Manner::Works => stream.write_all(format!("{address}\n").as_bytes()).await?,
    }
    let mut line = Vec::new();
    while stream.read_until(b'\n', &mut line).await? > 0 {
        stream.write_all(&line).await?;
        line.clear();
    }
    stream.shutdown().await
}

/// A listening socket whose queue is full, so that attempts to connect are not answered.
pub(crate) struct Hole {
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl Hole {
    /// Opens the socket and fills its queue.
    pub(crate) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let bind = async || {
            let socket = TcpSocket::new_v4()?;
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            Ok(socket)
        };
        let listener = ilb_testbed::eventually("the address is free", bind).await?.listen(1)?;
        let mut queue = Vec::new();
        // What is not answered within this time is one too many; if it was only slow, the next one fills the queue.
        while let Ok(stream) = timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
            queue.push(stream?);
        }
        Ok(Self { _listener: listener, _queue: queue })
    }
}
