//! The log of the settings file.

use ilb_traefik_client::Name;

use crate::observe::settings_event::SettingsEvent;

/// Logs an event of the settings file.
pub(in crate::observe) fn settings(event: &SettingsEvent<'_>) {
    match event {
        SettingsEvent::Applied { added, removed, pending } => {
            tracing::info!(pools = names(added), removed = names(removed), "Settings changed");
            if !pending.is_empty() {
                let settings = pending.join(", ");
                tracing::warn!(
                    settings,
                    "These settings take effect at the next start: restart ilb, which ends no connection"
                );
            }
        }
        SettingsEvent::Restored => {
            tracing::info!("The settings file is valid again, and equal to the settings in effect");
        }
        SettingsEvent::Refused { problems } => {
            tracing::error!(problems, "Settings refused: the previous settings stay in effect");
        }
    }
}

fn names(pools: &[Name]) -> String {
    pools.iter().map(Name::as_str).collect::<Vec<_>>().join(", ")
}
