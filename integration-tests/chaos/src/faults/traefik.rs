//! Another program that writes to a Traefik.

use std::time::Duration;

use serde_json::{Value, json};

use crate::world::World;

/// Time between two writes.
const INTERVAL: Duration = Duration::from_millis(250);

/// Replaces the configuration of a Traefik by one of another program.
pub(super) async fn write_once(world: &World, traefik: usize) -> anyhow::Result<()> {
    write(&ilb_testbed::http_client()?, &world.traefiks[traefik].0.rest_url(), 0).await
}

/// Does it again and again, until the world's intruders are ended.
pub(super) fn keep_writing(world: &mut World, traefik: usize) -> anyhow::Result<()> {
    let (http, url) = (ilb_testbed::http_client()?, world.traefiks[traefik].0.rest_url());
    world.intruders.spawn(async move {
        for number in 0.. {
            let _ = write(&http, &url, number).await;
            tokio::time::sleep(INTERVAL).await;
        }
    });
    Ok(())
}

async fn write(http: &reqwest::Client, url: &str, number: u32) -> anyhow::Result<()> {
    http.put(url).json(&configuration(number)).send().await?.error_for_status()?;
    Ok(())
}

/// Returns a configuration that serves nothing. Traefik would ignore one that equals the one before.
fn configuration(number: u32) -> Value {
    json!({"tcp": {
        "routers": {"foreign": {"entryPoints": ["tcp"], "rule": "HostSNI(`*`)", "service": "foreign"}},
        "services": {"foreign": {"loadBalancer": {"servers": [{"address": format!("127.0.0.1:{}", 1 + number % 9)}]}}},
    }})
}
