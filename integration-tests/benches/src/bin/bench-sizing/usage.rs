//! What Traefik and ilb use.

use std::{fs, time::Duration};

use anyhow::Context;
use ilb_benches::processor_time::seconds_of;
use ilb_testbed::World;

use crate::report::Row;

/// Resources that a process uses at a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// Proportional set size: its own memory, and its share of what it shares.
    pub(crate) mib: f64,
    /// Number of open files.
    pub(crate) files: f64,
    /// Processor time since its start.
    pub(crate) cpu_seconds: f64,
}

/// A figure of each of the two programs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair<T> {
    traefik: T,
    ilb: T,
}

impl<T: Copy> Pair<T> {
    /// Returns one figure of each.
    pub(crate) fn map(self, of: impl Fn(T) -> f64) -> Row {
        Row { traefik: of(self.traefik), ilb: of(self.ilb) }
    }

    /// Returns by how much a figure of each is more than before.
    pub(crate) fn minus(self, before: Self, of: impl Fn(T) -> f64) -> Row {
        Row { traefik: of(self.traefik) - of(before.traefik), ilb: of(self.ilb) - of(before.ilb) }
    }
}

/// Processor time during a measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spent {
    /// Processor seconds.
    pub(crate) seconds: Row,
    /// Duration of the measurement.
    pub(crate) elapsed: Duration,
    /// Number of times that the measured thing happened.
    pub(crate) happened: usize,
}

impl Spent {
    /// Returns the shares of a core in percent.
    pub(crate) fn percent(self) -> Row {
        self.seconds.map(|seconds| seconds * 100.0 / self.elapsed.as_secs_f64())
    }

    /// Returns the milliseconds for a thousand of the events.
    #[allow(clippy::cast_precision_loss, reason = "a few thousand events")]
    pub(crate) fn for_a_thousand(self) -> Row {
        self.seconds.map(|seconds| seconds * 1e6 / self.happened as f64)
    }
}

/// Returns what both use now.
pub(crate) fn usage(world: &World) -> anyhow::Result<Pair<Usage>> {
    Ok(Pair { traefik: of(world.traefik.process()?.id())?, ilb: of(world.ilb.process().id())? })
}

#[allow(clippy::cast_precision_loss, reason = "a process has thousands of files")]
fn of(process: u32) -> anyhow::Result<Usage> {
    let memory = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
    let kib = memory.lines().find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix(" kB"));
    Ok(Usage {
        mib: kib.context("the process has no memory")?.trim().parse::<f64>()? / 1024.0,
        files: fs::read_dir(format!("/proc/{process}/fd"))?.count() as f64,
        cpu_seconds: seconds_of(&process.to_string())?,
    })
}
