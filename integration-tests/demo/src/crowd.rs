use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ilb_testbed::{Connection, eventually};
use tokio::{task::JoinSet, time::sleep};

/// Clients with a long-lived connection each, which they use every second and open again when it is lost.
pub(crate) struct Crowd {
    tally: Arc<Mutex<Tally>>,
    _clients: JoinSet<()>,
}

/// What the clients have seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Live connections by backend.
    pub(crate) live: BTreeMap<SocketAddr, usize>,
    pub(crate) opened: usize,
    /// Connections that ended although the Traefik that carried them runs.
    pub(crate) cut: usize,
    /// Connections that ended with the Traefik that carried them.
    pub(crate) ended_with_traefik: usize,
    /// How many Traefiks there were before the one that runs now.
    traefiks: usize,
}

impl Crowd {
    /// Opens `size` connections to `address`.
    pub(crate) async fn open(address: SocketAddr, size: usize) -> anyhow::Result<Self> {
        let tally = Arc::new(Mutex::new(Tally::default()));
        let mut clients = JoinSet::new();
        for index in 0..size {
            // Spread over the second that one round of use takes.
            let delay = Duration::from_millis(index as u64 * 1000 / size as u64);
            clients.spawn(client(address, Arc::clone(&tally), delay));
        }
        let crowd = Self { tally, _clients: clients };
        crowd.wait_until_open(size).await?;
        Ok(crowd)
    }

    /// Waits until `size` connections live.
    pub(crate) async fn wait_until_open(&self, size: usize) -> anyhow::Result<()> {
        eventually("all clients are connected", async || {
            let live: usize = self.tally().live.values().sum();
            anyhow::ensure!(live >= size, "{live} are");
            Ok(())
        })
        .await
    }

    /// What the clients have seen so far.
    pub(crate) fn tally(&self) -> Tally {
        lock(&self.tally).clone()
    }

    /// Traefik is about to be killed: what it carries ends with it, and that is nobody's fault.
    pub(crate) fn expect_the_end_of_traefik(&self) {
        lock(&self.tally).traefiks += 1;
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
            tally.traefiks
        };
        while connection.check_alive().await.is_ok() {
            sleep(Duration::from_secs(1)).await;
        }
        let mut tally = lock(&tally);
        *tally.live.entry(connection.backend()).or_default() -= 1;
        if tally.traefiks == traefik { tally.cut += 1 } else { tally.ended_with_traefik += 1 }
    }
}

fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}
