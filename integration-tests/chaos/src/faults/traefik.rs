//! Another program that writes to a Traefik, and a configuration after which a Traefik applies no other one.

use std::time::Duration;

use anyhow::ensure;
use ilb_testbed::{Traefik, eventually};
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use crate::{world::World, writer::Writer};

/// Time between two writes.
const INTERVAL: Duration = Duration::from_millis(250);
/// Time limit for a write: far longer than any takes in a working system. The next one is tried after it.
const WRITE_LIMIT: Duration = Duration::from_secs(5);
/// Time between two looks whether a write has been applied. ilb needs longer to replace it.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);
/// Looks before the write is repeated.
const LOOKS: u32 = 1_000;
/// Numbers of the last writes of a program that keeps writing begin here.
const LAST_WRITES: u32 = 1_000_000;

/// Replaces the configuration of a Traefik by one of another program, and waits until Traefik has applied it: the fault is not
/// over before.
pub(super) async fn write_once(world: &World, traefik: usize) -> anyhow::Result<()> {
    write_until_applied(&world.traefiks[traefik].0, 0).await
}

/// Does it again and again, until [`stop_writing`].
pub(super) async fn keep_writing(world: &mut World, traefik: usize) -> anyhow::Result<()> {
    let (http, url) = (ilb_testbed::http_client()?, world.traefiks[traefik].0.rest_url());
    // A program that cannot write is no fault of which anything could be noticed.
    write(&http, &url, 0).await?;
    let (stop, mut stopped) = watch::channel(false);
    let task = tokio::spawn(async move {
        for number in 1.. {
            // A write that has begun is awaited.
            let _ = write(&http, &url, number).await;
            if timeout(INTERVAL, stopped.wait_for(|stopped| *stopped)).await.is_ok() {
                return;
            }
        }
    });
    world.writer = Some(Writer { stop, task });
    Ok(())
}

/// Ends that, and waits until Traefik has applied all that it was sent.
///
/// Traefik answers when it has queued a configuration, and on a busy machine it applies that seconds later; a request whose
/// client has gone may be read later still. Until then Traefik can have the right configuration from before, so that all
/// seems well, and loses it to the late write. Traefik applies what it queues in order: once the last write has been seen
/// in force, no earlier one is to come.
pub(super) async fn stop_writing(world: &mut World, traefik: usize) -> anyhow::Result<()> {
    if let Some(writer) = world.writer.take() {
        writer.stop.send_replace(true);
        writer.task.await?;
    }
    write_until_applied(&world.traefiks[traefik].0, LAST_WRITES).await
}

async fn write_until_applied(traefik: &Traefik, first: u32) -> anyhow::Result<()> {
    let http = ilb_testbed::http_client()?;
    let mut number = first;
    eventually("Traefik has applied the configuration of another program", async || {
        number += 1;
        write(&http, &traefik.rest_url(), number).await?;
        for _ in 0..LOOKS {
            let services = traefik.api("tcp/services").await?;
            if services.to_string().contains(&address(number)) {
                return Ok(());
            }
            sleep(LOOK_INTERVAL).await;
        }
        ensure!(false, "it was not seen: perhaps ilb has replaced it in the meantime");
        Ok(())
    })
    .await
}

/// Sends a configuration after which Traefik applies none any more, and goes on with the one that it has.
pub(super) async fn jam(world: &World, traefik: usize) -> anyhow::Result<()> {
    let null_router = json!({"tcp": {"routers": {"r": null}, "services": {}}});
    let http = ilb_testbed::http_client()?;
    http.put(world.traefiks[traefik].0.rest_url()).json(&null_router).send().await?.error_for_status()?;
    Ok(())
}

async fn write(http: &reqwest::Client, url: &str, number: u32) -> anyhow::Result<()> {
    http.put(url).json(&configuration(number)).timeout(WRITE_LIMIT).send().await?.error_for_status()?;
    Ok(())
}

/// Returns a configuration that serves nothing. Traefik would ignore one that equals the one before.
fn configuration(number: u32) -> Value {
    json!({"tcp": {
        "routers": {"foreign": {"entryPoints": ["tcp"], "rule": "HostSNI(`*`)", "service": "foreign"}},
        "services": {"foreign": {"loadBalancer": {"servers": [{"address": address(number)}]}}},
    }})
}

/// Returns an address at which nothing listens.
fn address(number: u32) -> String {
    let [_, high, middle, low] = number.to_be_bytes();
    format!("127.{}.{middle}.{low}:9", 200 + high % 50)
}
