//! Everything that a running ilb shows: log lines, the status document and its page, metrics, and the admin server.

pub(crate) mod admin;
pub(crate) mod insight;
pub(crate) mod log;
pub(crate) mod metrics;
mod settings_event;

use self::insight::Insight;
pub(crate) use self::settings_event::SettingsEvent;

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
        self.insight.reloaded(event.reload());
    }
}

#[cfg(test)]
mod tests;
