//! Samples of a soak.

use std::fs;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::{cluster::Cluster, event::Event, record::Record, window::spread};

/// State of an application and its balancer after an event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// Time since the beginning of the soak, in seconds.
    pub(crate) at: f64,
    pub(crate) event: Event,
    /// Resident memory in MiB.
    pub(crate) ilb_mib: f64,
    pub(crate) traefik_mib: f64,
    /// Open files, sockets among them.
    pub(crate) ilb_files: f64,
    pub(crate) traefik_files: f64,
    /// Goroutines of Traefik.
    pub(crate) goroutines: f64,
    /// Configurations that ilb has pushed during the event.
    pub(crate) pushes: f64,
    /// Duration of the event in seconds.
    pub(crate) took: f64,
    /// Fullest server relative to the mean, less one.
    pub(crate) imbalance: f64,
    /// Connections that ilb has closed during the event.
    pub(crate) closed: usize,
    pub(crate) confirmed: usize,
    pub(crate) failed: usize,
    /// Operations that were confirmed and are lost.
    pub(crate) lost: usize,
}

impl Sample {
    /// Takes a sample after an event, before which ilb had made `pushes`.
    pub(crate) async fn take(cluster: &Cluster, at: f64, record: &Record, pushes: f64) -> anyhow::Result<Self> {
        let (ilb, traefik) = (cluster.ilb.process().id(), cluster.traefik.process()?.id());
        Ok(Self {
            at,
            event: record.event,
            ilb_mib: memory_mib(ilb)?,
            traefik_mib: memory_mib(traefik)?,
            ilb_files: files(ilb)?,
            traefik_files: files(traefik)?,
            goroutines: cluster.traefik.metric("go_goroutines").await?,
            pushes: cluster.pushes().await? - pushes,
            took: record.took,
            imbalance: (spread(&record.after) - 1.0).max(0.0),
            closed: record.closed,
            confirmed: record.seen.confirmed,
            failed: record.seen.failed,
            lost: record.kept.as_ref().map_or(0, |kept| kept.lost.len()),
        })
    }
}

fn memory_mib(process: u32) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
    Ok(kib.context("the process has no memory")?.trim().parse::<f64>()? / 1024.0)
}

#[allow(clippy::cast_precision_loss, reason = "a process has thousands of files")]
fn files(process: u32) -> anyhow::Result<f64> {
    Ok(fs::read_dir(format!("/proc/{process}/fd"))?.count() as f64)
}
