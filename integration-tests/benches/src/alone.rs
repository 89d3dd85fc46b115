//! Measurements in processes and network namespaces of their own, so that none finds anything of those before it.

use std::{env, process::Stdio};

use anyhow::{Context, ensure};
use ilb_testbed::{Ilb, in_a_network};
use serde::de::DeserializeOwned;
use tokio::process::Command;

/// Runs this program once more with these arguments, in a network namespace in which it may create devices, and returns the
/// JSON that it prints. What it logs to standard error is shown.
pub async fn run<T: DeserializeOwned>(arguments: &[&str]) -> anyhow::Result<T> {
    let mut command = in_a_network("setpriv");
    Ilb::share_with(&mut command)?;
    let mut command = Command::from(command);
    command.args(["--pdeathsig", "KILL", "--"]).arg(env::current_exe()?).args(arguments);
    let child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().context("cannot run unshare")?;
    let output = child.wait_with_output().await?;
    ensure!(
        output.status.success(),
        "{} failed in a network namespace of its own, which needs root or user namespaces",
        arguments.join(" ")
    );
    Ok(serde_json::from_slice(&output.stdout)?)
}
