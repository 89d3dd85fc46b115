//! A check and its outcome.

use anyhow::{Context, bail};
use futures_util::future::LocalBoxFuture;

use crate::BareTraefik;

/// A check of one feature, guard or poison, which has a Traefik for itself.
#[derive(Debug)]
pub struct Check {
    /// Name in the table.
    pub name: &'static str,
    pub(super) expected: fn(Version) -> &'static str,
    pub(super) run: fn(BareTraefik) -> LocalBoxFuture<'static, anyhow::Result<String>>,
}

/// Major, minor, patch.
pub type Version = (u32, u32, u32);

impl Check {
    /// Runs the check with a fresh Traefik of `version`. Returns the outcome; an error if another one is expected there.
    pub async fn run(&self, version: &str) -> anyhow::Result<String> {
        let traefik = BareTraefik::builder().version(version).start().await?;
        let outcome = (self.run)(traefik).await.with_context(|| format!("{} (Traefik {version})", self.name))?;
        let expected = (self.expected)(parsed(version)?);
        if outcome != expected {
            bail!("{} (Traefik {version}): expected '{expected}', found '{outcome}'", self.name);
        }
        Ok(outcome)
    }
}

pub(super) fn parsed(version: &str) -> anyhow::Result<Version> {
    let numbers = version.split('.').map(str::parse).collect::<Result<Vec<u32>, _>>()?;
    match numbers[..] {
        [major, minor, patch] => Ok((major, minor, patch)),
        _ => bail!("'{version}' is not a version such as 3.7.15"),
    }
}
