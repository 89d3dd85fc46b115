//! Measures the time from a change of a pod until new connections follow it, on a real API server and a real Traefik.
//!
//! `make bench-propagation` runs it; it writes `target/bench/propagation.json`.

mod delays;

use std::{net::SocketAddr, ops::Range, time::Duration};

use anyhow::{Context, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use ilb_benches::{cycle::taken_over, results};
use ilb_testbed::{Hit, Prober, Readiness, World, eventually};
use tokio::time::{Instant, sleep, sleep_until};

use crate::delays::{Delays, Samples};

/// Time between two connection attempts: 200 a second.
const PROBE_PERIOD: Duration = Duration::from_millis(5);
/// Single changes that are timed, with each number of backends.
const CHANGES: usize = 6;
/// Bursts of changes that are timed, with each number of backends.
const BURSTS: usize = 2;
/// Pods that change in one burst.
const PODS_PER_BURST: u16 = 100;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut delays = Delays::default();
    for backends in [10, 100, 1000] {
        eprintln!("{backends} backends: starting");
        delays.add(backends, Bench::start(backends).await?.run().await?);
    }
    println!("{delays}");
    let path = results::write("propagation", &delays)?;
    println!("written to {}", path.display());
    Ok(())
}

struct Bench {
    world: World,
    prober: Prober,
    backends: u16,
}

/// The effect of a change, in time since the API server's answer.
struct Effect {
    in_force: Duration,
    last_hit: Duration,
}

impl Bench {
    async fn start(backends: u16) -> anyhow::Result<Self> {
        let mut world = World::round_robin(0).await?;
        world.add_pods(0..backends, Readiness::Ready).await?;
        world.add_pods(backends..backends + PODS_PER_BURST, Readiness::NotReady).await?;
        world.wait_until_in_force(backends.into()).await?;
        let prober = Prober::start(world.traefik.entry_point(), PROBE_PERIOD, Duration::from_secs(5));
        Ok(Self { world, prober, backends })
    }

    async fn run(self) -> anyhow::Result<Samples> {
        let mut samples = Samples::default();
        let spare = self.backends..self.backends + PODS_PER_BURST;
        for round in 1..=CHANGES {
            eprintln!("{} backends: change {round} of {CHANGES}", self.backends);
            let added = self.change(spare.start..spare.start + 1, Readiness::Ready).await?;
            let removed = self.change(spare.start..spare.start + 1, Readiness::NotReady).await?;
            samples.add_ms.push(added.in_force);
            samples.remove_ms.push(removed.last_hit);
            samples.remove_in_force_ms.push(removed.in_force);
        }
        for round in 1..=BURSTS {
            eprintln!("{} backends: burst {round} of {BURSTS}", self.backends);
            for readiness in [Readiness::Ready, Readiness::NotReady] {
                let before = self.world.traefik.reloads().await?;
                samples.burst_ms.push(self.change(spare.clone(), readiness).await?.in_force);
                samples.burst_reloads.push(u32::try_from(self.world.traefik.reloads().await? - before)?);
            }
        }
        Ok(samples)
    }

    /// Makes the pods `changed` ready or not, 10 ms from one to the next, and measures when the last of them took effect.
    async fn change(&self, changed: Range<u16>, readiness: Readiness) -> anyhow::Result<Effect> {
        let ready = readiness == Readiness::Ready;
        let members = usize::from(self.backends) + if ready { changed.len() } else { 0 };
        let first = self.prober.count();
        let start = Instant::now();
        let write = async |index: u16| {
            sleep_until(start + Duration::from_millis(10) * u32::from(index - changed.start)).await;
            self.world.set_pod(index, readiness).await?;
            anyhow::Ok(Instant::now())
        };
        let answers: Vec<Instant> =
            stream::iter(changed.clone()).map(write).buffer_unordered(changed.len()).try_collect().await?;
        let answered = answers.into_iter().max().context("nothing was changed")?;

        self.world.wait_until_in_force(members).await?;
        let circle_complete = self.prober.count() + members + 1;
        eventually("a full circle of connections", async || {
            ensure!(self.prober.count() >= circle_complete, "not yet");
            Ok(())
        })
        .await?;
        let hits = self.prober.hits();
        let landed = hits[first..].iter().map(|hit| hit.backend.context("a connection failed"));
        let landed = landed.collect::<anyhow::Result<Vec<SocketAddr>>>()?;
        let index = taken_over(&landed, members).context("connections do not reach the backends in turn")?;
        let leaving: Vec<_> = changed.map(|index| self.world.address(index)).collect();
        let is_late = |hit: &&Hit| hit.backend.is_some_and(|b| leaving.contains(&b));
        let last = hits[first..].iter().rfind(is_late).map_or(answered, |hit| hit.at);
        // A pause, so that late effects of this change do not disturb the next one.
        sleep(Duration::from_millis(200)).await;
        Ok(Effect {
            in_force: hits[first + index].at.saturating_duration_since(answered),
            last_hit: if ready { Duration::ZERO } else { last.saturating_duration_since(answered) },
        })
    }
}
