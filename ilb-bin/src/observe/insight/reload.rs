use std::collections::BTreeMap;

/// How a change of the file of settings ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reload {
    Applied,
    /// It was wrong, and the settings before stay in force.
    Refused,
}

/// What is known of such changes.
#[derive(Debug, Default)]
pub(crate) struct ReloadFacts {
    pub(crate) counts: BTreeMap<Reload, u64>,
    pub(crate) last: Option<Reload>,
}

impl Reload {
    pub(crate) const ALL: [Self; 2] = [Self::Applied, Self::Refused];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Refused => "refused",
        }
    }
}

impl ReloadFacts {
    pub(super) fn reloaded(&mut self, result: Reload) {
        *self.counts.entry(result).or_default() += 1;
        self.last = Some(result);
    }
}
