//! What a Traefik tells of itself, without a configuration.

use super::Traefik;
use crate::{
    Error,
    process::{StartDate, Version},
};

/// Description of a Traefik process.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Survey {
    /// Version of Traefik.
    pub version: Version,
    /// Start of the process.
    pub started: StartDate,
    /// Names of the entry points for TCP; `None` if Traefik does not tell them.
    pub entry_points: Option<Vec<String>>,
}

impl Traefik {
    /// Asks for the version and the entry points, and changes nothing.
    pub async fn survey(&self) -> Result<Survey, Error> {
        let process = self.request_process().await?;
        let entry_points = self.entry_points(&process).await?;
        let entry_points = entry_points.map(|entry_points| entry_points.names().map(str::to_owned).collect());
        Ok(Survey { version: process.version, started: process.start_date, entry_points })
    }
}
