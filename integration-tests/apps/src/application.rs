//! What the harness has to know of an application.

use std::collections::BTreeMap;

use ilb_testbed::apps::Running;
use serde_json::Value;

use crate::{cluster::Cluster, event::Event, servers::Servers, window::Stored, workers::Load};

/// An application: its servers, its clients, and what it promises.
pub(crate) trait Application: Sized {
    /// Type of a server.
    type Server: Running;

    /// Name in arguments and reports.
    const NAME: &'static str;
    /// Example of the chart whose values are tried.
    const EXAMPLE: &'static str;
    /// Guide on the page, which has `{table}` where the records belong.
    const GUIDE: &'static str;
    /// Pool whose servers are added, replaced and killed.
    const POOL: &'static str;
    /// Numbers of servers: before and after a scale-out.
    const SERVERS: (u16, u16);
    /// Events beside those that every application goes through.
    const MORE: &'static [Event];

    /// Starts what the servers need, before the first one.
    async fn start(cluster: &Cluster) -> anyhow::Result<Self>;

    /// Starts server `index` of its pool, and waits until it answers.
    async fn new_server(&self, cluster: &Cluster, index: u16) -> anyhow::Result<Self::Server>;

    /// Returns the servers that run.
    fn servers(&mut self) -> &mut Servers<Self::Server>;

    /// Starts server `index`, and waits until it can have clients.
    async fn start_server(&mut self, cluster: &Cluster, index: u16) -> anyhow::Result<()> {
        let server = self.new_server(cluster, index).await?;
        self.servers().insert(index, server);
        Ok(())
    }

    /// Tells the others that server `index` does not run any more and will not come back.
    async fn left(&mut self, _: &Cluster, _index: u16) -> anyhow::Result<()> {
        Ok(())
    }

    /// Returns the clients, with the pool that they connect to.
    fn loads(&self) -> anyhow::Result<Vec<(&'static str, Load)>>;

    /// Returns the numbers that are stored; `None` if the application promises nothing of that kind.
    async fn stored(&mut self, cluster: &Cluster) -> anyhow::Result<Option<Stored>>;

    /// Counts what the servers have done beside that, since they were started.
    async fn counted(&self) -> anyhow::Result<BTreeMap<String, usize>> {
        Ok(BTreeMap::new())
    }

    /// Makes one of its [own events](Self::MORE), with what changes of the `servers` of its pool. `next` is the index of a
    /// server that it may start.
    async fn happen(&mut self, _: &Cluster, event: Event, _servers: &mut Vec<u16>, _next: u16) -> anyhow::Result<()> {
        anyhow::bail!("{} knows no {}", Self::NAME, event.name())
    }
}

/// Parses numbers, of which there is one a line or in each item.
pub(crate) fn count<'a>(numbers: impl IntoIterator<Item = &'a str>) -> anyhow::Result<Stored> {
    let mut stored = Stored::new();
    for number in numbers {
        *stored.entry(number.trim().parse()?).or_default() += 1;
    }
    Ok(stored)
}

/// Counts the numbers of a list of texts.
pub(crate) fn count_list(list: &Value) -> anyhow::Result<Stored> {
    count(list.as_array().into_iter().flatten().filter_map(Value::as_str))
}
