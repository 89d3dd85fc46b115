//! A closer in another process.

use std::{
    fmt, io,
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use tokio::{sync::Mutex, time::timeout};

use crate::closer::{
    Ability, Closer, Order, Outcome,
    packets::Packets,
    wire::{Close, Reply, Request, VERSION},
};

/// A [`Closer`] in another process, which a [`CloserServer`](crate::CloserServer) serves on a Unix socket.
///
/// It connects when it is used, and again after an error. An order without a reply within a second has
/// [failed](Outcome::Failed), whatever becomes of it.
pub struct Remote {
    path: PathBuf,
    connection: Mutex<Option<Packets>>,
    last_id: AtomicU64,
}

impl Remote {
    /// Time within which the closer has to reply.
    pub const TIME_LIMIT: Duration = Duration::from_secs(1);

    /// Creates a closer that is served at this path, now or later.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), connection: Mutex::default(), last_id: AtomicU64::new(0) }
    }

    async fn ask(&self, request: &Request) -> Result<Reply, String> {
        let mut connection = self.connection.lock().await;
        // Only an exchange that was completed leaves the connection for the next one. In particular, one that was dropped
        // leaves none: its reply must not be taken for that of another.
        let packets = match connection.take() {
            Some(packets) => packets,
            None => Packets::connect(&self.path).map_err(|error| self.unreachable(&error))?,
        };
        let reply = match timeout(Self::TIME_LIMIT, exchange(&packets, request)).await {
            Ok(result) => result.map_err(|error| format!("the closer does not reply: {error}"))?,
            Err(_) => return Err(format!("the closer did not reply within {:?}", Self::TIME_LIMIT)),
        };
        if let Reply::Error(error) = reply {
            return Err(format!("the closer does not understand: {}", error.error));
        }
        *connection = Some(packets);
        Ok(reply)
    }

    fn unreachable(&self, error: &io::Error) -> String {
        format!("the closer cannot be reached at {}: {error}", self.path.display())
    }
}

#[async_trait]
impl Closer for Remote {
    async fn close(&self, order: &Order) -> Outcome {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let outcome = match self.ask(&Request::Close(Close::new(id, order))).await {
            Ok(Reply::Done(done)) if done.id == id => done.outcome(),
            Ok(_) => None,
            Err(error) => Some(Outcome::Failed(error)),
        };
        outcome.unwrap_or_else(|| Outcome::Failed("the closer replied something else".to_owned()))
    }

    async fn ability(&self) -> Ability {
        let ability = match self.ask(&Request::Hello(VERSION)).await {
            Ok(Reply::Hello(hello)) if hello.hello == VERSION => hello.ability(),
            Ok(_) => None,
            Err(error) => Some(Ability::Unreachable(error)),
        };
        ability.unwrap_or_else(|| Ability::Unreachable("the closer replied something else".to_owned()))
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("path", &self.path).finish_non_exhaustive()
    }
}

async fn exchange(packets: &Packets, request: &Request) -> io::Result<Reply> {
    packets.send(&serde_json::to_vec(request)?).await?;
    let packet = packets.receive().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(serde_json::from_slice(&packet)?)
}
