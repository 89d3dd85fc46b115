//! Everything that a running ilb shows: log lines, the status document and its page, metrics, and the admin server.

pub(crate) mod admin;
pub(crate) mod connections;
pub(crate) mod insight;
pub(crate) mod kubernetes_events;
pub(crate) mod log;
pub(crate) mod metrics;
mod settings_event;

use self::insight::Insight;
pub(crate) use self::settings_event::SettingsEvent;
use crate::settings::BackendLink;

/// Observer of the settings file. Passes each event to the log and to the insight.
pub(crate) struct SettingsObserver {
    insight: Insight,
}

impl SettingsObserver {
    pub(crate) fn new(insight: Insight) -> Self {
        Self { insight }
    }

    /// Takes in one event.
    pub(crate) fn on(&self, event: &SettingsEvent<'_>) {
        log::settings(event);
        self.insight.settings_changed(event);
    }

    /// Takes in the links of each backend.
    pub(crate) fn backend_links(&self, links: &[BackendLink]) {
        self.insight.set_backend_links(links);
    }

    /// Takes in whether there have to be siblings.
    pub(crate) fn expect_siblings(&self, is_expected: bool) {
        self.insight.expect_siblings(is_expected);
    }
}

#[cfg(test)]
mod tests;
