//! The changes of the demo, and their measurements.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use anyhow::Context;
use ilb_discovery::State;
use ilb_testbed::{CloserProcess, Hit, LogLine, Prober, Readiness, World, eventually};
use tokio::time::{Instant, sleep};

use crate::{
    clients::Clients,
    screen::{Row, Screen},
    server::{Arrived, Server},
    summary::{Change, Summary},
};

/// Number of backends at the beginning.
pub(crate) const BACKENDS: u16 = 5;
/// Number of clients, which have a connection each.
pub(crate) const CONNECTIONS: usize = 300;
/// Time after which the pods are level at the latest: far longer than it takes.
const LEVEL_LIMIT: Duration = Duration::from_secs(60);

/// Opens new connections beside the long-lived ones: they show which backends are in use at each moment.
fn probe(world: &World) -> Prober {
    Prober::start(world.traefik.entry_point(), Duration::from_millis(10), Duration::from_millis(100))
}

/// Starts the server of a pod, and creates the pod.
pub(crate) async fn add_pod(world: &World, index: u16, arrived: &Arrived) -> anyhow::Result<Server> {
    let server = Server::start(world.address(index), arrived.clone()).await?;
    world.pods.create_ready(&World::pod(index), world.address(index).ip()).await?;
    Ok(server)
}

/// The running demo.
pub(crate) struct Play {
    world: World,
    servers: Vec<Server>,
    /// Requests that have reached a server.
    arrived: Arrived,
    clients: Clients,
    closer: Option<CloserProcess>,
    screen: Screen,
    prober: Option<Prober>,
    /// States of pod 0, pod 1, …
    states: Vec<State>,
    summary: Summary,
}

impl Play {
    pub(crate) fn new(
        world: World,
        (servers, arrived): (Vec<Server>, Arrived),
        clients: Clients,
        closer: Option<CloserProcess>,
        screen: Screen,
    ) -> Self {
        let prober = Some(probe(&world));
        let states = vec![State::Ready; BACKENDS.into()];
        Self { world, servers, arrived, clients, closer, screen, prober, states, summary: Summary::default() }
    }

    pub(crate) async fn run(&mut self, duration: Duration) -> anyhow::Result<Summary> {
        let start = Instant::now();
        let act = |part: u32| start + duration * part / 10;
        self.show_until(act(2)).await?;
        self.scale_up().await?;
        self.show_until(act(4)).await?;
        self.lose_readiness(1).await?;
        self.show_until(act(6)).await?;
        self.delete(2).await?;
        self.show_until(act(8)).await?;
        self.restart_traefik().await?;
        self.show_until(start + duration).await?;
        self.screen.announce("the end");
        self.summary.reloads += self.world.traefik.reloads().await?;
        self.summary.tally = self.clients.tally();
        self.summary.moved = self.moved()?;
        Ok(self.summary.clone())
    }

    async fn scale_up(&mut self) -> anyhow::Result<()> {
        let new = BACKENDS;
        self.screen.announce(&format!("scale up: pod-{new} becomes Ready"));
        self.servers.push(add_pod(&self.world, new, &self.arrived).await?);
        let answered = Instant::now();
        self.states.push(State::Ready);
        let address = self.world.address(new);
        let first = eventually("a new connection to the new pod", async || {
            self.hits_on(address, answered).first().copied().context("none yet")
        })
        .await?;
        self.summary.note(Change::FirstConnection, "scale up", first.duration_since(answered));
        if self.closer.is_some() {
            self.screen.announce(
                "connections of the fuller pods are closed while nothing is asked, and come back at the new one",
            );
            // A hundred short connections a second beside it would get the turns that are meant for those that come back.
            self.prober = None;
            self.level(answered).await?;
            self.prober = Some(probe(&self.world));
        }
        Ok(())
    }

    /// Shows the state until each backend has its share.
    async fn level(&mut self, since: Instant) -> anyhow::Result<()> {
        let fullest = |live: &BTreeMap<SocketAddr, usize>| live.values().copied().max().unwrap_or_default();
        let end = since + LEVEL_LIMIT;
        loop {
            let tally = self.clients.tally();
            let live: usize = tally.live.values().sum();
            // A share is rounded up, and one more is as level as the rules ask for.
            let is_level = live == CONNECTIONS && fullest(&tally.live) <= CONNECTIONS.div_ceil(self.states.len()) + 1;
            if is_level {
                self.summary.levelled = Some((since.elapsed(), tally.ended));
                self.screen.announce(&format!(
                    "level: {} connections moved, {} requests cut",
                    tally.ended, tally.cut_requests
                ));
                return Ok(());
            }
            anyhow::ensure!(
                Instant::now() < end,
                "the pods are not level after {} s: {tally:?}",
                LEVEL_LIMIT.as_secs()
            );
            self.show_until(Instant::now() + Duration::from_millis(200)).await?;
        }
    }

    async fn lose_readiness(&mut self, pod: u16) -> anyhow::Result<()> {
        self.screen.announce(&format!("pod-{pod} stops being Ready"));
        self.world.set_pod(pod, Readiness::NotReady).await?;
        self.states[usize::from(pod)] = State::NotReady;
        self.last_connection("not Ready", pod).await
    }

    async fn delete(&mut self, pod: u16) -> anyhow::Result<()> {
        self.screen.announce(&format!("pod-{pod} is deleted: its connections live on while it drains"));
        self.world.pods.delete(&World::pod(pod)).await?;
        self.states[usize::from(pod)] = State::Draining;
        self.last_connection("deleted", pod).await
    }

    /// Notes when the last new connection went to `pod`, which has just been removed.
    async fn last_connection(&mut self, name: &'static str, pod: u16) -> anyhow::Result<()> {
        let answered = Instant::now();
        // Long enough for a late connection to it to be seen.
        self.show_until(answered + Duration::from_secs(2)).await?;
        let last = self.hits_on(self.world.address(pod), answered).last().copied().unwrap_or(answered);
        self.summary.note(Change::LastConnection, name, last.duration_since(answered));
        Ok(())
    }

    async fn restart_traefik(&mut self) -> anyhow::Result<()> {
        self.screen
            .announce("Traefik is killed and comes back empty: its connections end with it, clients connect again");
        self.summary.reloads += self.world.traefik.reloads().await?;
        self.clients.expect_end_of_traefik();
        self.world.traefik.kill()?;
        self.world.traefik.restart().await?;
        let listening = Instant::now();
        let routed = eventually("a connection through the new Traefik", async || {
            let routed = self.hits().into_iter().find(|hit| hit.at > listening && hit.backend.is_some());
            Ok(routed.context("none yet")?.at)
        })
        .await?;
        self.summary.note(Change::Restart, "Traefik restarted", routed.duration_since(listening));
        self.clients.wait_until_open(CONNECTIONS).await
    }

    /// Returns the number of connections that were closed on purpose.
    fn moved(&self) -> anyhow::Result<usize> {
        let Some(closer) = &self.closer else { return Ok(0) };
        let is_closing =
            |line: &&LogLine| line["message"] == "ordered to close a connection" && line["outcome"] == "Closed";
        Ok(closer.log()?.iter().filter(is_closing).count())
    }

    /// Returns the new connections beside the long-lived ones.
    fn hits(&self) -> Vec<Hit> {
        self.prober.iter().flat_map(Prober::hits).collect()
    }

    /// Returns the moments at which new connections went to `backend` after `since`.
    fn hits_on(&self, backend: SocketAddr, since: Instant) -> Vec<Instant> {
        let hits = self.hits();
        hits.iter().filter(|hit| hit.at >= since && hit.backend == Some(backend)).map(|hit| hit.at).collect()
    }

    /// Shows the state again and again until `moment`.
    async fn show_until(&mut self, moment: Instant) -> anyhow::Result<()> {
        loop {
            self.world.ilb.check_running()?;
            let tally = self.clients.tally();
            let row = |(index, state): (u16, &State)| {
                let backend = self.world.address(index);
                Row { backend, state: *state, connections: tally.live.get(&backend).copied().unwrap_or(0) }
            };
            let rows: Vec<_> = (0..).zip(&self.states).map(row).collect();
            self.screen.show(&rows, &tally)?;
            if Instant::now() >= moment {
                return Ok(());
            }
            sleep(Duration::from_millis(200).min(moment - Instant::now())).await;
        }
    }
}
