use std::{net::SocketAddr, time::Duration};

use anyhow::Context;
use ilb_discovery::State;
use ilb_testbed::{Prober, World, eventually};
use tokio::time::{Instant, sleep};

use crate::{
    BACKENDS, CONNECTIONS,
    crowd::Crowd,
    screen::{Row, Screen},
    summary::{Change, Summary},
};

/// The changes, and what is measured at each.
pub(crate) struct Play {
    world: World,
    crowd: Crowd,
    screen: Screen,
    prober: Prober,
    /// State of pod 0, 1, …
    states: Vec<State>,
    summary: Summary,
}

impl Play {
    pub(crate) fn new(world: World, crowd: Crowd, screen: Screen) -> Self {
        // New clients beside the long-lived ones: they show where new connections go at each moment.
        let entry_point = world.traefik.entry_point();
        let prober = Prober::start(entry_point, Duration::from_millis(10), Duration::from_millis(100));
        let states = vec![State::Ready; BACKENDS.into()];
        Self { world, crowd, screen, prober, states, summary: Summary::default() }
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
        self.screen.say("the end");
        self.summary.reloads += self.world.traefik.reloads().await?;
        self.summary.tally = self.crowd.tally();
        Ok(self.summary.clone())
    }

    async fn scale_up(&mut self) -> anyhow::Result<()> {
        let new = BACKENDS;
        self.screen.say(&format!("scale up: pod-{new} becomes Ready"));
        self.world.add_pod(new).await?;
        let answered = Instant::now();
        self.states.push(State::Ready);
        let address = self.world.address(new);
        let first = eventually("a new connection to the new pod", async || {
            self.hits_on(address, answered).first().copied().context("none yet")
        })
        .await?;
        self.summary.note(Change::FirstConnection, "scale up", first.duration_since(answered));
        Ok(())
    }

    async fn lose_readiness(&mut self, pod: u16) -> anyhow::Result<()> {
        self.screen.say(&format!("pod-{pod} stops being Ready"));
        self.world.pods.set_status(&World::pod(pod), self.world.address(pod).ip(), false).await?;
        self.states[usize::from(pod)] = State::NotReady;
        self.last_connection("not Ready", pod).await
    }

    async fn delete(&mut self, pod: u16) -> anyhow::Result<()> {
        self.screen.say(&format!("pod-{pod} is deleted: its connections live on while it drains"));
        self.world.pods.delete(&World::pod(pod)).await?;
        self.states[usize::from(pod)] = State::Draining;
        self.last_connection("deleted", pod).await
    }

    /// Notes when the last new connection went to `pod`, which has just been taken out.
    async fn last_connection(&mut self, name: &'static str, pod: u16) -> anyhow::Result<()> {
        let answered = Instant::now();
        // Long enough that a connection to it would be seen if there were any.
        self.show_until(answered + Duration::from_secs(2)).await?;
        let last = self.hits_on(self.world.address(pod), answered).last().copied().unwrap_or(answered);
        self.summary.note(Change::LastConnection, name, last.duration_since(answered));
        Ok(())
    }

    async fn restart_traefik(&mut self) -> anyhow::Result<()> {
        self.screen.say("Traefik is killed and comes back empty: what it carried ends with it, clients connect again");
        self.summary.reloads += self.world.traefik.reloads().await?;
        self.crowd.expect_the_end_of_traefik();
        self.world.traefik.kill()?;
        self.world.traefik.restart().await?;
        let listening = Instant::now();
        let routed = eventually("a connection through the new Traefik", async || {
            let routed = self.prober.hits().into_iter().find(|hit| hit.at > listening && hit.backend.is_some());
            Ok(routed.context("none yet")?.at)
        })
        .await?;
        self.summary.note(Change::Restart, "Traefik restarted", routed.duration_since(listening));
        self.crowd.wait_until_open(CONNECTIONS).await
    }

    /// When new connections went to `backend` after `since`.
    fn hits_on(&self, backend: SocketAddr, since: Instant) -> Vec<Instant> {
        let hits = self.prober.hits();
        hits.iter().filter(|hit| hit.at >= since && hit.backend == Some(backend)).map(|hit| hit.at).collect()
    }

    /// Lets time pass, and shows what is.
    async fn show_until(&mut self, moment: Instant) -> anyhow::Result<()> {
        loop {
            self.world.ilb.check_running()?;
            let tally = self.crowd.tally();
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
