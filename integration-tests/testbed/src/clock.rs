//! A clock of a process's own, which steps.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;

use crate::tools;

/// The clock of the calendar as a process sees it that was started with its [variables](Self::variables). It can be set while
/// the process runs. The clock that only goes forward, by which all durations are measured, stays true.
///
/// The process has to be linked dynamically with the C library: `libfaketime` takes the place of some of its functions.
#[derive(Debug)]
pub struct Clock {
    file: PathBuf,
    library: PathBuf,
}

impl Clock {
    /// Creates a clock that is right. `folder` gets the file with its offset.
    pub fn new(folder: &Path) -> anyhow::Result<Self> {
        let clock = Self { file: folder.join("clock"), library: tools::path("faketime")? };
        clock.set("+0")?;
        Ok(clock)
    }

    /// Makes the clock wrong by an offset in seconds, such as `+3600`, from now on.
    pub fn set(&self, offset: &str) -> anyhow::Result<()> {
        let beside = self.file.with_extension("new");
        fs::write(&beside, offset)?;
        fs::rename(beside, &self.file).context("cannot set the clock of a process")
    }

    /// Returns the variables with which a process sees this clock.
    pub fn variables(&self) -> [(&'static str, String); 4] {
        [
            ("LD_PRELOAD", self.library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.display().to_string()),
            // The file is read again each time.
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }
}
