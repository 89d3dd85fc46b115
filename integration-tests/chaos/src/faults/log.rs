//! A log that is not read.

use std::time::Duration;

use anyhow::ensure;
use ilb_testbed::{eventually, eventually_within};

use crate::world::World;

/// Mistakes in a file, each of which is in the log, where 1 MiB waits for a reader.
const MISTAKES: u32 = 6_000;

/// Time limit: it takes several files, each of which is read when it has stayed the same for a second.
const LIMIT: Duration = Duration::from_secs(180);

/// Stops reading the log, and makes ilb log more than fits, until it says that lines are lost.
pub(super) async fn stop_reading(world: &World) -> anyhow::Result<()> {
    world.log.pause(true);
    let before = dropped(world).await?;
    let mut round = 0;
    eventually_within(LIMIT, "lines of the log are dropped", async || {
        let refused = refusals(world).await?;
        write(world, round)?;
        round += 1;
        eventually("the settings are refused", async || {
            ensure!(refusals(world).await? > refused);
            Ok(())
        })
        .await?;
        ensure!(dropped(world).await? > before, "none so far");
        Ok(())
    })
    .await
}

/// Reads the log again, and writes right settings.
pub(super) fn read_again(world: &World) -> anyhow::Result<()> {
    world.log.pause(false);
    world.write_settings(&world.settings())
}

fn write(world: &World, round: u32) -> anyhow::Result<()> {
    let mistakes: Vec<_> = (0..MISTAKES).map(|number| format!("wrong_{round}_{number}: 1\n")).collect();
    world.write_settings(&mistakes.concat())
}

async fn dropped(world: &World) -> anyhow::Result<f64> {
    world.admin.metric("ilb_log_lines_dropped_total").await
}

/// Returns how often settings were refused; the series begins with the first time.
async fn refusals(world: &World) -> anyhow::Result<f64> {
    let metrics = world.admin.metrics().await?;
    let value = metrics.lines().find_map(|line| line.strip_prefix(r#"ilb_config_reloads_total{result="refused"} "#));
    Ok(value.map_or(Ok(0.0), str::parse)?)
}
