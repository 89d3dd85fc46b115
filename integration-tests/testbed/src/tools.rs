//! The programs that the script `prepare` finds, fetches or builds.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, ensure};

/// Prepares the programs that most tests need: etcd, kube-apiserver and Traefik. Shows progress if that takes time.
pub fn prepare() -> anyhow::Result<()> {
    paths(&["traefik", "etcd", "kube-apiserver"]).map(drop)
}

/// Returns the path of one program, which is prepared if need be: the script lists the names.
pub fn path(name: &str) -> anyhow::Result<PathBuf> {
    paths(&[name])?.pop().with_context(|| format!("the testbed has no {name}"))
}

/// Returns the paths of these programs. The script is run once for each of them.
fn paths(names: &[&str]) -> anyhow::Result<Vec<PathBuf>> {
    static KNOWN: Mutex<Option<HashMap<String, PathBuf>>> = Mutex::new(None);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_default();
    let missing: Vec<_> = names.iter().copied().filter(|name| !known.contains_key(*name)).collect();
    if !missing.is_empty() {
        known.extend(run_script(&missing)?);
    }
    names.iter().map(|name| known.get(*name).cloned().with_context(|| format!("the testbed has no {name}"))).collect()
}

fn run_script(names: &[&str]) -> anyhow::Result<HashMap<String, PathBuf>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("prepare");
    let output = Command::new(&script)
        .args(names)
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot run {}", script.display()))?;
    ensure!(output.status.success(), "the testbed is not ready: see the output of {} above", script.display());
    let text = String::from_utf8(output.stdout)?;
    let tool = |line: &str| line.split_once('=').map(|(name, path)| (name.to_owned(), PathBuf::from(path)));
    Ok(text.lines().filter_map(tool).collect())
}
