//! The application behind the balancer.

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
    task::JoinSet,
    time::sleep,
};

/// The numbers of the requests that have reached a server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arrived(Arc<Mutex<HashSet<u64>>>);

impl Arrived {
    pub(crate) fn contains(&self, request: u64) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&request)
    }

    fn insert(&self, request: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(request);
    }
}

/// A server that begins each connection with its own address, and answers requests, each of which is a number.
pub(crate) struct Server {
    _tasks: JoinSet<()>,
}

/// Time that a request takes, as that of a database does.
const WORK: Duration = Duration::from_millis(20);

impl Server {
    pub(crate) async fn start(address: SocketAddr, arrived: Arrived) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen at {address}"))?;
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut sessions = JoinSet::new();
            loop {
                if let Ok((stream, _)) = listener.accept().await {
                    sessions.spawn(serve(stream, address, arrived.clone()));
                }
                while sessions.try_join_next().is_some() {}
            }
        });
        Ok(Self { _tasks: tasks })
    }
}

async fn serve(stream: TcpStream, address: SocketAddr, arrived: Arrived) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    stream.write_all(format!("{address}\n").as_bytes()).await?;
    let mut request = String::new();
    while stream.read_line(&mut request).await? > 0 {
        if let Ok(number) = request.trim_end().parse() {
            arrived.insert(number);
        }
        sleep(WORK).await;
        stream.write_all(request.as_bytes()).await?;
        request.clear();
    }
    Ok(())
}
