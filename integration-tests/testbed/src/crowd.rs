//! Many clients that hold their connections.

use std::{collections::BTreeMap, net::SocketAddr};

use anyhow::ensure;

use crate::{Connection, Traefik, World, eventually};

/// Connections that stay open, with the backend that each has reached.
#[derive(Debug, Default)]
pub struct Crowd {
    connections: Vec<Connection>,
}

impl Crowd {
    /// Opens one more connection. Returns the backend that it reached.
    pub async fn join(&mut self, traefik: &Traefik) -> anyhow::Result<SocketAddr> {
        let connection = traefik.connect().await?;
        let backend = connection.backend();
        self.connections.push(connection);
        Ok(backend)
    }

    /// Closes the connections to `backend`, except for `keep` of them.
    pub fn leave(&mut self, backend: SocketAddr, keep: usize) {
        let mut kept = 0;
        self.connections.retain(|connection| {
            kept += usize::from(connection.backend() == backend);
            connection.backend() != backend || kept <= keep
        });
    }

    /// Returns the number of connections to each of the first `backends` backends.
    pub fn counts(&self, world: &World, backends: u16) -> BTreeMap<SocketAddr, usize> {
        let on = |address| self.connections.iter().filter(|c| c.backend() == address).count();
        (0..backends).map(|i| (world.address(i), on(world.address(i)))).collect()
    }

    /// Waits until Traefik's weights differ by exactly what each backend has less than the fullest one.
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
