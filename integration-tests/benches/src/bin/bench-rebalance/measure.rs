//! One case in this process.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, ensure};
use ilb_benches::{
    neighbourhood,
    statistics::{most_within, repeated},
};
use ilb_testbed::{eventually_within, open_loopback};
use tokio::time::{Instant, sleep};

use crate::{
    age::AgeLimit,
    backend::{Arrived, Backend, NETWORK},
    clients::Clients,
    measurement::Measurement,
    scenario::{Case, Contender},
    scene::Scene,
};

/// Connections of the fullest backend, relative to the mean, at which the backends are level.
pub(crate) const LEVEL: f64 = 1.06;
/// Time for which closings are counted once the backends are level. A rebalance ends within it.
const TIME_AFTER: Duration = Duration::from_secs(10);
/// Time for which the processor time is measured before backends are added.
const TIME_BEFORE: Duration = Duration::from_secs(5);
/// Time between two looks at the connections of the clients.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);
/// Time limit for the first connections of all clients.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(120);

/// Measures a case, in a network namespace of this process's own.
pub(crate) async fn measure(case: Case) -> anyhow::Result<Measurement> {
    open_loopback()?;
    let neighbours = neighbourhood::runtime_with_hosts(NETWORK)?;
    let arrived = Arc::new(Arrived::default());
    let (limit, keep_limit) = AgeLimit::new(case.age());
    let mut backends = Vec::new();
    for index in 0..case.scenario.after {
        backends.push(Backend::start(neighbours, index, Arc::clone(&arrived)).await?);
    }
    let scene = Scene::start(&case).await?;
    let limit = (case.contender == Contender::ByAge).then_some(limit);
    let clients = Arc::new(Clients::new(case, scene.entry(), arrived, limit));
    let working = neighbours.spawn(Arc::clone(&clients).run());
    eventually_within(ARRIVAL_LIMIT, "all clients are connected, and the first backends level", async || {
        let fullest = clients.fullest(case.scenario.before).context("some are not connected")?;
        ensure!(fullest <= LEVEL, "the fullest backend has {fullest} times the mean");
        Ok(())
    })
    .await?;

    let (start, before) = (Instant::now(), scene.processor_seconds()?);
    sleep(TIME_BEFORE).await;
    let (added, at_start) = (Instant::now(), scene.processor_seconds()?);
    ensure!(clients.ends().is_empty(), "connections have ended before backends were added:\n{}", scene.log().await?);
    keep_limit.send_replace(true);
    scene.scale_out(&case)?;
    let level = wait_until_level(&clients, added).await;
    let (until, at_level) = (Instant::now(), scene.processor_seconds()?);
    if level.is_none() {
        eprintln!("not level after {:?}; ilb says:\n{}", case.limit(), scene.log().await?);
    }
    sleep(TIME_AFTER).await;
    working.abort();

    let ends = clients.ends();
    let moments: Vec<_> = ends.iter().map(|end| end.at - added).collect();
    let closings = ends.iter().filter(|end| end.at <= until).count();
    let cores = |from: f64, to: f64, time: Duration| (to - from) / time.as_secs_f64();
    Ok(Measurement {
        level_after: level.map(|time| time.as_secs_f64()),
        first_closing_after: moments.first().map(Duration::as_secs_f64),
        minimum: case.scenario.minimum(),
        closings,
        closings_after: ends.len() - closings,
        most_in_a_second: most_within(Duration::from_secs(1), &moments),
        closed_twice: repeated(ends.iter().map(|end| end.client)),
        workloads: clients.tallies(),
        ilb: cores(at_start.ilb, at_level.ilb, until - added),
        closer: cores(at_start.closer, at_level.closer, until - added),
        ilb_before: cores(before.ilb, at_start.ilb, added - start),
        ..Measurement::default()
    })
}

/// Waits until the backends are level. Returns how long that took since `added`; `None` if it did not happen in time.
async fn wait_until_level(clients: &Clients, added: Instant) -> Option<Duration> {
    let case = clients.case();
    loop {
        let now = added.elapsed();
        if clients.fullest(case.scenario.after).is_some_and(|fullest| fullest <= LEVEL) {
            return Some(now);
        }
        if now >= case.limit() {
            return None;
        }
        sleep(LOOK_INTERVAL).await;
    }
}
