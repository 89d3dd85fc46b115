//! Outcomes of connections.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use crate::greeting::Greeting;

/// The outcomes of connections that were opened and closed at once.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Tally {
    /// Connections per pod.
    pods: BTreeMap<String, u32>,
    /// Failures per reason.
    failed: BTreeMap<String, u32>,
    /// Longest time that a backend had been terminating when a connection reached it, in milliseconds.
    late_millis: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, outcome: anyhow::Result<Greeting>) {
        match outcome {
            Ok(greeting) => {
                *self.pods.entry(greeting.pod).or_default() += 1;
                let late = greeting.terminating.as_ref().map_or(0, Duration::as_millis);
                self.late_millis = self.late_millis.max(u64::try_from(late).unwrap_or(u64::MAX));
            }
            Err(reason) => *self.failed.entry(format!("{reason:#}")).or_default() += 1,
        }
    }
}
