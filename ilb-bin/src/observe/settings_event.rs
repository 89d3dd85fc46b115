//! The events of the settings file.

use ilb_traefik_client::Name;

use super::insight::Reload;

/// Event of the settings file. Each occurrence is one event.
#[derive(Debug)]
pub(crate) enum SettingsEvent<'a> {
    /// The file has changed, and its settings are in effect.
    Applied {
        /// Pools that are new or have changed.
        added: &'a [Name],
        /// Pools that exist no longer.
        removed: &'a [Name],
        /// Settings that have changed and take effect only at the next start.
        pending: &'a [&'static str],
    },
    /// The file was refused before, and now contains the settings in effect.
    Restored,
    /// The file is invalid. The previous settings stay in effect.
    Refused {
        /// All problems of the file, as text.
        problems: &'a str,
    },
}

impl SettingsEvent<'_> {
    /// Returns the result of the reload, as the insight counts it.
    pub(super) fn reload(&self) -> Reload {
        match self {
            Self::Applied { .. } | Self::Restored => Reload::Applied,
            Self::Refused { .. } => Reload::Refused,
        }
    }
}
