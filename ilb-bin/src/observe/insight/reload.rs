//! The facts of reloads of the settings file.

use std::collections::BTreeMap;

use super::words::Reload;

/// Counts the reloads of the settings file and keeps the last result.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReloadFacts {
    pub(crate) counts: BTreeMap<Reload, u64>,
    pub(crate) last: Option<Reload>,
}

impl ReloadFacts {
    pub(super) fn reloaded(&mut self, result: Reload) {
        *self.counts.entry(result).or_default() += 1;
        self.last = Some(result);
    }
}
