//! The servers of an application, by their indices.

use std::collections::BTreeMap;

use anyhow::Context;
use ilb_testbed::apps::Running;

/// Running servers. One that is stopped or killed is not among them any more.
#[derive(Debug)]
pub(crate) struct Servers<S>(BTreeMap<u16, S>);

impl<S> Default for Servers<S> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<S: Running> Servers<S> {
    pub(crate) fn insert(&mut self, index: u16, server: S) {
        self.0.insert(index, server);
    }

    pub(crate) fn get(&self, index: u16) -> anyhow::Result<&S> {
        self.0.get(&index).with_context(|| format!("there is no server {index}"))
    }

    pub(crate) fn get_mut(&mut self, index: u16) -> anyhow::Result<&mut S> {
        self.0.get_mut(&index).with_context(|| format!("there is no server {index}"))
    }

    /// Returns all servers but these.
    pub(crate) fn except(&self, indices: &[u16]) -> impl Iterator<Item = (u16, &S)> {
        self.0.iter().map(|(index, server)| (*index, server)).filter(|(index, _)| !indices.contains(index))
    }

    /// Stops a server as the kubelet does.
    pub(crate) async fn stop(&mut self, index: u16) -> anyhow::Result<()> {
        self.remove(index)?.stop().await
    }

    /// Kills a server.
    pub(crate) fn kill(&mut self, index: u16) -> anyhow::Result<()> {
        self.remove(index)?.kill()
    }

    /// Takes a server from the others.
    pub(crate) fn remove(&mut self, index: u16) -> anyhow::Result<S> {
        self.0.remove(&index).with_context(|| format!("there is no server {index}"))
    }
}
