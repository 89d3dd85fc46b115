//! Files with the results of benches.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use ilb_testbed::in_checkout;
use serde::Serialize;

/// Writes `results` as JSON to `target/bench/NAME.json` (in `CARGO_TARGET_DIR`, where that is set). Returns the path.
pub fn write(name: &str, results: &impl Serialize) -> anyhow::Result<PathBuf> {
    let path = path(name)?;
    let write = || {
        fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        fs::write(&path, serde_json::to_string_pretty(results)? + "\n")
    };
    write().with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// Returns the path of the results with this name.
pub fn path(name: &str) -> anyhow::Result<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    Ok(in_checkout(".").canonicalize()?.join(target).join("bench").join(name).with_extension("json"))
}
