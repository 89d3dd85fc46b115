//! Memory and open files of ilb, which must not grow.

use std::fs;

use anyhow::Context;
use serde::{Deserialize, Serialize};

/// Memory and open files of one process, at moments without faults.
#[derive(Clone, Debug, Default)]
pub(crate) struct Resources {
    samples: Vec<(u64, u64)>,
}

/// Medians of the first and the last third.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trend {
    /// Resident memory in KiB.
    pub memory_kib: (u64, u64),
    /// Open files.
    pub files: (u64, u64),
}

/// Memory that may be taken between the first and the last third, in KiB: the allocator keeps what was needed once, such as
/// for a flood of the admin port or a settings file of 1 MiB.
pub(crate) const MEMORY_ALLOWANCE_KIB: u64 = 12 << 10;
/// Files that may be opened between the first and the last third: connections are kept open for a while.
pub(crate) const FILES_ALLOWANCE: u64 = 12;
/// Samples below which nothing is said.
const MIN_SAMPLES: usize = 12;

impl Resources {
    /// Takes a sample of a process.
    pub(crate) fn sample(&mut self, process: u32) -> anyhow::Result<()> {
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let memory = memory.and_then(|text| text.split_whitespace().next()).context("no VmRSS")?.parse()?;
        let files = fs::read_dir(format!("/proc/{process}/fd"))?.count();
        self.samples.push((memory, u64::try_from(files)?));
        Ok(())
    }

    /// Returns the medians; `None` if there are too few samples.
    pub(crate) fn trend(&self) -> Option<Trend> {
        if self.samples.len() < MIN_SAMPLES {
            return None;
        }
        let third = self.samples.len() / 3;
        let (first, last) = (&self.samples[..third], &self.samples[self.samples.len() - third..]);
        let medians = |of: fn(&(u64, u64)) -> u64| (median(first.iter().map(of)), median(last.iter().map(of)));
        Some(Trend { memory_kib: medians(|sample| sample.0), files: medians(|sample| sample.1) })
    }
}

impl Trend {
    /// Returns what has grown, if anything has.
    pub(crate) fn growth(self) -> Option<String> {
        let is_more = |(first, last): (u64, u64), allowance: u64| last > first + allowance;
        (is_more(self.memory_kib, MEMORY_ALLOWANCE_KIB) || is_more(self.files, FILES_ALLOWANCE)).then(|| {
            let Self { memory_kib: (from, to), files: (before, after) } = self;
            format!("memory {from} to {to} KiB, open files {before} to {after}")
        })
    }
}

fn median(values: impl Iterator<Item = u64>) -> u64 {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_is_flat_and_what_grows_by_a_file_a_sample_is_not() {
        let flat = Resources { samples: vec![(20_000, 30); 30] };
        assert_eq!(flat.trend().unwrap().growth(), None);
        let growing = Resources { samples: (0..60).map(|n| (20_000, 30 + n)).collect() };
        assert_eq!(growing.trend().unwrap().growth().unwrap(), "memory 20000 to 20000 KiB, open files 40 to 80");
        assert_eq!(Resources { samples: vec![(1, 1); 5] }.trend(), None);
    }
}
