//! The settings of the admin server.

use super::{
    definitions::{ADMIN_ADDRESS, ADMIN_HOSTS},
    listen_address::ListenAddress,
    reading::{Reading, Reported},
};

/// Settings of the server of health, metrics and status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AdminSettings {
    pub(crate) address: ListenAddress,
    /// Names that requests may be for, besides those that are always allowed.
    pub(crate) hosts: Vec<String>,
}

impl AdminSettings {
    pub(super) fn read(reading: &mut Reading<'_>) -> Result<Self, Reported> {
        let hosts = reading.get_optional_list(&ADMIN_HOSTS).unwrap_or_default();
        Ok(Self { address: reading.get(&ADMIN_ADDRESS)?, hosts })
    }
}
