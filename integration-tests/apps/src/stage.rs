//! An application on stage: its clients work, and one event after the other happens.

use std::time::{Duration, Instant};

use anyhow::Context;
use futures_util::future::try_join_all;
use ilb_testbed::eventually;

use crate::{
    application::Application,
    cluster::Cluster,
    event::Event,
    example::Example,
    record::Record,
    soak::Sample,
    ticker::{EVENTS, Ticker},
    window::{Kept, Window},
    workers::{Line, Load, Workers},
};

/// An application, its clients, and everything around them.
pub(crate) struct Stage<A> {
    // Before what they connect to.
    workers: Vec<(&'static str, Workers)>,
    application: A,
    cluster: Cluster,
    /// Servers of the pool that is scaled.
    servers: Vec<u16>,
    next: u16,
    closing: bool,
}

/// Operations of each client during an outage.
const TURNS: usize = 3;

impl<A: Application> Stage<A> {
    /// Starts an application with its clients, which pause for `least_pause` seconds at least if they pause at all.
    pub(crate) async fn start(least_pause: Option<f64>) -> anyhow::Result<Self> {
        let cluster = Cluster::start(Example::read(A::EXAMPLE)?).await?;
        let application = A::start(&cluster).await?;
        // Numbers below are those of servers of other pools.
        let mut this =
            Self { cluster, application, workers: Vec::new(), servers: Vec::new(), next: 10, closing: false };
        for _ in 0..A::SERVERS.0 {
            this.add_server().await?;
        }
        let mut loads = this.application.loads()?;
        for (_, load) in loads.iter_mut().filter(|(_, load)| load.pause > 0.0) {
            load.pause = load.pause.max(least_pause.unwrap_or_default());
        }
        let start = async |(pool, load): &(&'static str, Load)| {
            anyhow::Ok((*pool, Workers::start(this.cluster.entry(pool)?, load).await?))
        };
        this.workers = try_join_all(loads.iter().map(start)).await?;
        Ok(this)
    }

    /// Lets all events happen that `is_wanted`, first without and then with rules for closing.
    pub(crate) async fn play(&mut self, is_wanted: impl Fn(Event) -> bool) -> anyhow::Result<Vec<Record>> {
        let mut records = Vec::new();
        let is_known = |event: Event| event.is_common() || A::MORE.contains(&event);
        for event in [Event::ScaleOut, Event::RollingRestart, Event::LameDuck] {
            if is_wanted(event) && is_known(event) {
                records.push(self.report(event).await?);
            }
        }
        self.set_closing(true).await?;
        while self.servers.len() > A::SERVERS.0.into() {
            self.remove_server().await?;
        }
        for event in Event::ALL {
            // With rules, a server is empty before it has asked its clients to leave.
            if event != Event::LameDuck && is_wanted(event) && is_known(event) {
                records.push(self.report(event).await?);
            }
        }
        Ok(records)
    }

    /// Scales and restarts the servers over and over, with rules for closing, and takes a sample each time.
    pub(crate) async fn soak(&mut self, duration: Duration) -> anyhow::Result<Vec<Sample>> {
        self.set_closing(true).await?;
        let (begun, mut samples) = (Instant::now(), Vec::new());
        for event in [Event::ScaleOut, Event::RollingRestart, Event::ScaleIn].into_iter().cycle() {
            if begun.elapsed() >= duration {
                break;
            }
            let pushes = self.cluster.pushes().await?;
            let record = self.report(event).await?;
            samples.push(Sample::take(&self.cluster, begun.elapsed().as_secs_f64(), &record, pushes).await?);
            // What is kept is bounded by an event.
            self.workers.iter().for_each(|(_, workers)| workers.forget());
        }
        Ok(samples)
    }

    /// Shows each second what clients do, while the servers change.
    pub(crate) async fn show(&mut self) -> anyhow::Result<Vec<Record>> {
        self.set_closing(true).await?;
        let ticker = Ticker::start(self.workers.iter().map(|(_, workers)| workers.reports()).collect());
        let mut records = Vec::new();
        for event in EVENTS.into_iter().filter(|event| event.is_common() || A::MORE.contains(event)) {
            // So that one sees what is usual.
            self.turns(TURNS).await?;
            ticker.name(event.name());
            records.push(self.observe(event).await?);
            ticker.name("nothing happens");
        }
        Ok(records)
    }

    /// Lets an event happen, and says on the standard error what the clients saw.
    async fn report(&mut self, event: Event) -> anyhow::Result<Record> {
        let record = self.observe(event).await?;
        eprintln!("apps-test: {}", crate::report::line(&record));
        Ok(record)
    }

    /// Lets an event happen, and returns what the clients saw.
    async fn observe(&mut self, event: Event) -> anyhow::Result<Record> {
        self.turns(1).await?;
        let begun = Instant::now();
        let positions: Vec<_> = self.workers.iter().map(|(_, workers)| workers.position()).collect();
        let before = self.connections()?;
        let closings = self.cluster.closings()?;
        let counted = self.application.counted().await?;
        let level = self.happen(event).await.with_context(|| format!("{}: {}", A::NAME, event.name()))?;
        self.turns(2).await.with_context(|| format!("{}: after {}", A::NAME, event.name()))?;
        let took = begun.elapsed().as_secs_f64();
        let mut seen = Window::default();
        let mut lines = Vec::new();
        for ((_, workers), position) in self.workers.iter().zip(&positions) {
            let of_these = workers.since(*position);
            seen.add(Window::of(&of_these));
            if workers.load().stores {
                lines.extend(of_these);
            }
        }
        let kept = self.kept(&lines).await?;
        for (what, number) in self.application.counted().await? {
            let more = number - counted.get(&what).copied().unwrap_or_default();
            seen.noted.insert(what, more);
        }
        let (closed, cut) = self.cluster.closings()?;
        let record = Record {
            application: A::NAME.to_owned(),
            event,
            closing: self.closing,
            clients: self.workers.iter().map(|(_, workers)| workers.load().clients).sum(),
            before,
            after: level.map_or_else(|| self.connections(), Ok)?,
            seen,
            kept,
            closed: closed - closings.0,
            cut: cut - closings.1,
            took,
        };
        Ok(record)
    }

    /// Returns the connections of each server at the moment from which on they are as the rules bring them.
    async fn happen(&mut self, event: Event) -> anyhow::Result<Option<Vec<usize>>> {
        match event {
            Event::ScaleOut => {
                while self.servers.len() < A::SERVERS.1.into() {
                    self.add_server().await?;
                }
                self.settle(event).await
            }
            Event::ScaleIn => {
                while self.servers.len() > A::SERVERS.0.into() {
                    self.remove_server().await?;
                }
                self.settle(event).await
            }
            Event::RollingRestart => {
                for old in self.servers.clone() {
                    self.add_server().await?;
                    self.remove(old).await?;
                }
                self.settle(event).await
            }
            Event::KilledServer => {
                let killed = self.servers.remove(0);
                self.application.servers().kill(killed)?;
                self.turns(TURNS).await?;
                self.cluster.set_not_ready(A::POOL, killed).await?;
                self.cluster.wait_until_in_force(A::POOL, &self.servers).await?;
                self.cluster.remove_pod(killed).await?;
                self.application.left(&self.cluster, killed).await?;
                self.add_server().await?;
                self.settle(event).await
            }
            Event::KilledTraefik => {
                self.cluster.traefik.kill()?;
                self.cluster.traefik.restart().await?;
                self.cluster.wait_until_in_force(A::POOL, &self.servers).await?;
                self.turns(TURNS).await?;
                Ok(None)
            }
            Event::KilledIlb => {
                self.cluster.ilb.kill()?;
                self.turns(TURNS).await?;
                self.cluster.ilb.start_again()?;
                self.cluster.wait_until_ready().await?;
                Ok(None)
            }
            Event::ApiServerOutage => {
                self.cluster.api_server.kill()?;
                self.turns(TURNS).await?;
                self.cluster.api_server.restart().await?;
                Ok(None)
            }
            Event::RoleChange | Event::Failover | Event::StartsUp | Event::Full | Event::LameDuck => {
                self.next += 1;
                self.application.happen(&self.cluster, event, &mut self.servers, self.next - 1).await?;
                self.cluster.wait_until_in_force(A::POOL, &self.servers).await?;
                Ok(None)
            }
        }
    }

    /// Waits until connections are where the rules bring them, if there are any.
    async fn settle(&self, event: Event) -> anyhow::Result<Option<Vec<usize>>> {
        if !self.closing {
            return Ok(None);
        }
        // Each client has a connection again.
        self.turns(1).await?;
        self.cluster.wait_until_level(A::POOL, &self.servers, event.excess_percent()).await.map(Some)
    }

    async fn set_closing(&mut self, closing: bool) -> anyhow::Result<()> {
        self.cluster.set_closing(closing).await?;
        self.closing = closing;
        Ok(())
    }

    async fn add_server(&mut self) -> anyhow::Result<()> {
        let index = self.next;
        self.next += 1;
        self.application.start_server(&self.cluster, index).await?;
        self.cluster.add_pod(A::POOL, index).await?;
        self.servers.push(index);
        self.cluster.wait_until_in_force(A::POOL, &self.servers).await
    }

    async fn remove_server(&mut self) -> anyhow::Result<()> {
        let last = *self.servers.last().context("no server is left")?;
        self.remove(last).await
    }

    /// Deletes a pod, and stops its server when it is empty, or at once if nothing would make it so.
    async fn remove(&mut self, index: u16) -> anyhow::Result<()> {
        self.servers.retain(|server| *server != index);
        self.cluster.delete_pod(index).await?;
        self.cluster.wait_until_in_force(A::POOL, &self.servers).await?;
        if self.closing {
            self.cluster.wait_until_empty(A::POOL, index).await?;
        } else {
            self.turns(1).await?;
        }
        self.application.servers().stop(index).await?;
        self.application.left(&self.cluster, index).await?;
        self.cluster.remove_pod(index).await?;
        self.turns(1).await
    }

    /// Waits until each client has had so many operations confirmed.
    async fn turns(&self, turns: usize) -> anyhow::Result<()> {
        try_join_all(self.workers.iter().map(|(_, workers)| workers.turns(turns))).await.map(drop)
    }

    fn connections(&self) -> anyhow::Result<Vec<usize>> {
        self.cluster.connections(A::POOL, &self.servers)
    }

    /// Compares what was confirmed with what is stored, once that has arrived. What has not arrived after a minute is lost.
    async fn kept(&mut self, lines: &[Line]) -> anyhow::Result<Option<Kept>> {
        let mut known = None;
        let arrived = eventually("all that was confirmed arrives", async || {
            let stored = self.application.stored(&self.cluster).await?;
            known = stored.map(|stored| Kept::of(lines, &stored));
            let missing = known.as_ref().map_or(0, |kept| kept.lost.len());
            anyhow::ensure!(missing == 0, "{missing} are missing");
            Ok(())
        })
        .await;
        // What is known is judged; without it, nothing could be.
        if known.is_none() { arrived.map(|()| None) } else { Ok(known) }
    }

    /// Lets the clients end.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        for (_, workers) in &mut self.workers {
            workers.stop().await?;
        }
        Ok(())
    }
}
