//! Report.
use std::path::PathBuf;

use crate::results::Results;
/// Summary.
pub fn summary(results: &Results) -> String {
    format!("{results:?}")
}
/// Write.
pub fn write(_: &Results) -> anyhow::Result<PathBuf> {
    anyhow::bail!("todo")
}
