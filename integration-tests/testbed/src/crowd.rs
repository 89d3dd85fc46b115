use std::{collections::BTreeMap, net::SocketAddr};

use anyhow::ensure;

use crate::{Connection, Traefik, World, eventually};

/// Clients that hold their connections, and know where each landed.
#[derive(Debug, Default)]
pub struct Crowd {
    connections: Vec<Connection>,
}

impl Crowd {
    /// Opens one more connection. Returns where it landed.
    pub async fn join(&mut self, traefik: &Traefik) -> anyhow::Result<SocketAddr> {
        let connection = traefik.connect().await?;
        let backend = connection.backend();
        self.connections.push(connection);
        Ok(backend)
    }

    /// Ends the connections to `backend` but for this many.
    pub fn leave(&mut self, backend: SocketAddr, but: usize) {
        let mut kept = 0;
        self.connections.retain(|connection| {
            kept += usize::from(connection.backend() == backend);
            connection.backend() != backend || kept <= but
        });
    }

    /// How many connections each of the first `backends` backends has.
    pub fn counts(&self, world: &World, backends: u16) -> BTreeMap<SocketAddr, usize> {
        let on = |address| self.connections.iter().filter(|c| c.backend() == address).count();
        (0..backends).map(|i| (world.address(i), on(world.address(i)))).collect()
    }

    /// Waits until Traefik's weights say exactly what each backend lacks.
    pub async fn wait_until_balanced(&self, world: &World, backends: u16) -> anyhow::Result<()> {
        let counts = self.counts(world, backends);
        let most = counts.values().max().copied().unwrap_or(0);
        eventually("the weights are what the backends lack", async || {
            let weights: Vec<_> = world.traefik.weights().await?.into_values().flatten().collect();
            let least = weights.iter().min().copied().unwrap_or(0);
            let gaps: Vec<_> = weights.iter().map(|w| w - least).collect();
            let lack: Vec<_> = counts.values().map(|c| u64::try_from(most - c).unwrap_or(0)).collect();
            ensure!(gaps == lack, "weights {gaps:?} for {counts:?}");
            Ok(())
        })
        .await
    }
}
