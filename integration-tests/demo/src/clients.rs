//! Clients that connect again when they lose their connection.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ilb_testbed::{Connection, eventually};
use tokio::{task::JoinSet, time::sleep};

/// Clients with a long-lived connection each, which they use every second and open again when it is lost.
pub(crate) struct Clients {
    tally: Arc<Mutex<Tally>>,
    _tasks: JoinSet<()>,
}

/// The history of all connections.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Live connections by backend.
    pub(crate) live: BTreeMap<SocketAddr, usize>,
    /// Number of connections that were opened.
    pub(crate) opened: usize,
    /// Number of connections that ended although the Traefik that carried them runs.
    pub(crate) cut: usize,
    /// Number of connections that ended with the Traefik that carried them.
    pub(crate) ended_with_traefik: usize,
    /// Number of Traefik processes before the one that runs now.
    former_traefiks: usize,
}

impl Clients {
    /// Starts `size` clients of `address`, and waits until all are connected.
    pub(crate) async fn start(address: SocketAddr, size: usize) -> anyhow::Result<Self> {
        let tally = Arc::new(Mutex::new(Tally::default()));
        let mut tasks = JoinSet::new();
        for index in 0..size {
            // The clients use their connections at different moments of a second.
            let delay = Duration::from_millis(index as u64 * 1000 / size as u64);
            tasks.spawn(client(address, Arc::clone(&tally), delay));
        }
        let clients = Self { tally, _tasks: tasks };
        clients.wait_until_open(size).await?;
        Ok(clients)
    }

    /// Waits until `size` connections are open.
    pub(crate) async fn wait_until_open(&self, size: usize) -> anyhow::Result<()> {
        eventually("all clients are connected", async || {
            let live: usize = self.tally().live.values().sum();
            anyhow::ensure!(live >= size, "{live} of {size} are");
            Ok(())
        })
        .await
    }

    /// Returns the history so far.
    pub(crate) fn tally(&self) -> Tally {
        lock(&self.tally).clone()
    }

    /// Announces that Traefik will be killed: its connections end with it, and do not count as cut.
    pub(crate) fn expect_end_of_traefik(&self) {
        lock(&self.tally).former_traefiks += 1;
    }
}

async fn client(address: SocketAddr, tally: Arc<Mutex<Tally>>, delay: Duration) {
    sleep(delay).await;
    loop {
        let Ok(mut connection) = Connection::open(address).await else {
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let traefik = {
            let mut tally = lock(&tally);
            tally.opened += 1;
            *tally.live.entry(connection.backend()).or_default() += 1;
            tally.former_traefiks
        };
        while connection.check_alive().await.is_ok() {
            sleep(Duration::from_secs(1)).await;
        }
        let mut tally = lock(&tally);
        *tally.live.entry(connection.backend()).or_default() -= 1;
        if tally.former_traefiks == traefik { tally.cut += 1 } else { tally.ended_with_traefik += 1 }
    }
}

fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}
