//! What works with which version of Traefik: the same checks for the tests, on the newest one, and for the table in
//! `docs/`, on all of them.

mod configurations;
mod features;
mod guards;
mod poison;

use std::fmt::Write as _;

use anyhow::{Context, bail};
use futures_util::future::LocalBoxFuture;

use crate::BareTraefik;

/// Something that is tried with one Traefik, of which nothing else is in use.
pub struct Check {
    /// What, as the table says it.
    pub name: &'static str,
    expected: fn(Version) -> &'static str,
    run: fn(BareTraefik) -> LocalBoxFuture<'static, anyhow::Result<String>>,
}

/// Major, minor, patch.
pub type Version = (u32, u32, u32);

impl Check {
    /// What the typed model offers, and the proof that it works.
    pub fn features() -> Vec<Self> {
        features::all()
    }

    /// What the client promises of restarts, other writers and repetitions.
    pub fn guards() -> Vec<Self> {
        guards::all()
    }

    /// What breaks Traefik when it is sent raw.
    pub fn poisons() -> Vec<Self> {
        poison::all()
    }

    /// What it came to with a fresh Traefik of `version`; an error if that is not what is expected there.
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

fn parsed(version: &str) -> anyhow::Result<Version> {
    let numbers = version.split('.').map(str::parse).collect::<Result<Vec<u32>, _>>()?;
    match numbers[..] {
        [major, minor, patch] => Ok((major, minor, patch)),
        _ => bail!("'{version}' is no version"),
    }
}

/// A table in Markdown: one row per check, one column per version.
pub fn table(versions: &[&str], rows: &[(&str, Vec<String>)]) -> String {
    let mut text = format!("| | {} |\n|---|{}\n", versions.join(" | "), "---|".repeat(versions.len()));
    for (name, cells) in rows {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
    }
    text
}
