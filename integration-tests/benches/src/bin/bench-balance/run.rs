//! Runs of this program, which tell measurements of different times apart.

use std::{
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use ilb_testbed::in_checkout;
use serde::{Deserialize, Serialize};

/// One run of this program.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Run {
    /// Start, in seconds since the Unix epoch.
    started: u64,
    /// Commit of the checkout; empty if it is not known.
    pub(crate) commit: String,
}

impl Run {
    /// Returns the run that begins now.
    #[allow(clippy::disallowed_methods, reason = "the time names the run, and is not measured with")]
    pub(crate) fn now() -> Self {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let git = Command::new("git").arg("-C").arg(in_checkout(".")).args(["rev-parse", "--short", "HEAD"]).output();
        let commit = git.ok().filter(|output| output.status.success()).map(|output| output.stdout);
        Self { started, commit: String::from_utf8_lossy(&commit.unwrap_or_default()).trim().to_owned() }
    }
}
