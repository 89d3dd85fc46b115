//! The reader of the log may go away or stop: ilb goes on, and counts the lines that are lost.

#![allow(clippy::float_cmp, reason = "counts are exact")]

use std::{
    io::{BufRead, BufReader, Read, Write, pipe},
    path::Path,
    thread,
};

use anyhow::ensure;
use ilb_testbed::{Ilb, LogLine, World, eventually};
use rustix::pipe::fcntl_setpipe_size;

/// Series that counts the lines.
const DROPPED: &str = "ilb_log_lines_dropped_total";

/// Smallest size of a pipe, in bytes.
const PIPE_SIZE: usize = 4_096;

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_reader_of_the_log_that_goes_away_does_not_end_ilb() {
    let (reader, writer) = pipe().unwrap();
    // As `ilb run 2>&1 | head -1` does.
    let head = thread::spawn(move || BufReader::new(reader).lines().next());
    let mut world = World::logging_into(writer, &[]).await.unwrap();
    head.join().unwrap().unwrap().unwrap();

    world.add_pod(0).await.unwrap();
    world.wait_until_in_force(1).await.unwrap();
    world.add_pod(1).await.unwrap();
    world.wait_until_in_force(2).await.unwrap();
    world.admin.wait_until_ok("/readyz").await.unwrap();
    wait_until_dropped(&world).await;
    world.ilb.check_running().unwrap();
    assert_eq!(world.ilb.terminate().await.unwrap().code(), Some(0));
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_failure_that_cannot_be_reported_still_has_its_exit_code() {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let mut ilb = Ilb::start_into(writer, &[("ILB_SELECTOR", "app=a"), ("LOG_LEVEL", "loud")]).unwrap();
    assert_eq!(ilb.end().await.unwrap().code(), Some(2));
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_reader_of_the_log_that_stops_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("ilb.yaml");
    std::fs::write(&settings, "").unwrap();
    let (mut reader, mut writer) = pipe().unwrap();
    assert_eq!(fcntl_setpipe_size(&writer, PIPE_SIZE).unwrap(), PIPE_SIZE);
    writer.write_all(&[b'\n'; PIPE_SIZE]).unwrap();
    // From here on nobody reads, and the pipe is full.
    let mut world = World::logging_into(writer, &[("ILB_CONFIG", settings.to_str().unwrap())]).await.unwrap();

    world.add_pod(0).await.unwrap();
    world.wait_until_in_force(1).await.unwrap();
    world.admin.wait_until_ok("/readyz").await.unwrap();
    // More than any queue should hold: each of these is refused with a line of 200 kB or more.
    for round in 0..20 {
        refuse_settings(&world, &settings, 2_000, round).await.unwrap();
    }
    wait_until_dropped(&world).await;

    // All else goes on.
    world.add_pod(1).await.unwrap();
    world.wait_until_in_force(2).await.unwrap();
    world.pods.remove(&World::pod(0)).await.unwrap();
    world.wait_until_in_force(1).await.unwrap();
    world.traefik.kill().unwrap();
    world.admin.wait_until_failing("/readyz").await.unwrap();
    world.traefik.restart().await.unwrap();
    world.admin.wait_until_ok("/readyz").await.unwrap();

    // A reader that goes on gets whole lines, and soon all of them up to the end.
    let log = thread::spawn(move || {
        let mut log = String::new();
        reader.read_to_string(&mut log).map(|_| log)
    });
    let mut round = 20;
    eventually("no more lines are dropped", async || {
        let before = world.admin.metric(DROPPED).await?;
        refuse_settings(&world, &settings, 1, round).await?;
        round += 1;
        let dropped = world.admin.metric(DROPPED).await? - before;
        ensure!(dropped == 0.0, "{dropped} more");
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(world.ilb.terminate().await.unwrap().code(), Some(0));
    let log = log.join().unwrap().unwrap();
    let lines: Vec<LogLine> =
        log.lines().filter(|line| !line.is_empty()).map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.first().unwrap()["message"], "Starting");
    assert_eq!(lines.last().unwrap()["message"], "Stopping: Traefik and all connections stay as they are");
}

/// Makes ilb refuse settings with as many mistakes, which are others in each round, and log that.
async fn refuse_settings(world: &World, file: &Path, mistakes: u32, round: u32) -> anyhow::Result<()> {
    const REFUSED: &str = r#"ilb_config_reloads_total{result="refused"}"#;
    let before = world.admin.metric(REFUSED).await?;
    let mistakes: Vec<_> = (0..mistakes).map(|number| format!("wrong_{round}_{number}: 1\n")).collect();
    std::fs::write(file, mistakes.concat())?;
    eventually("the settings are refused", async || {
        let refused = world.admin.metric(REFUSED).await?;
        ensure!(refused > before, "still {refused}");
        Ok(())
    })
    .await
}

async fn wait_until_dropped(world: &World) {
    eventually("lines are dropped", async || {
        let dropped = world.admin.metric(DROPPED).await?;
        ensure!(dropped > 0.0, "none so far");
        Ok(())
    })
    .await
    .unwrap();
}
