//! Memory and processor time of a process.

use std::{fs, path::Path};

use anyhow::Context;
use serde::Serialize;
use tokio::time::Instant;

/// Memory and processor time of a process.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Usage {
    /// Resident memory at the end, shared pages included, in MB.
    pub(crate) rss_mb: f64,
    /// Processor time, in percent of a core.
    pub(crate) cpu_percent: f64,
}

/// Measures the usage of process `id` while `something` happens.
pub(crate) async fn measure(id: u32, something: impl Future<Output = ()>) -> anyhow::Result<Usage> {
    let (before, started) = (cpu_seconds(id)?, Instant::now());
    something.await;
    let cpu = (cpu_seconds(id)? - before) / started.elapsed().as_secs_f64();
    Ok(Usage { rss_mb: rss_mb(id)?, cpu_percent: cpu * 100.0 })
}

/// Returns the processor time of all threads. `schedstat` has it in nanoseconds, `stat` in hundredths of a second.
fn cpu_seconds(id: u32) -> anyhow::Result<f64> {
    let mut nanoseconds = 0.0;
    for thread in fs::read_dir(format!("/proc/{id}/task")).context("the process does not run")? {
        // A thread may have ended meanwhile.
        let text = fs::read_to_string(thread?.path().join("schedstat")).unwrap_or_default();
        nanoseconds += text.split(' ').next().and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0);
    }
    Ok(nanoseconds / 1e9)
}

fn rss_mb(id: u32) -> anyhow::Result<f64> {
    let status = fs::read_to_string(Path::new("/proc").join(id.to_string()).join("status"))?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
    Ok(kib.context("the process has no memory")?.parse::<f64>()? * 1024.0 / 1e6)
}
