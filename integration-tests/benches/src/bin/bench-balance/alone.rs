//! One contender in one scenario, in a process and a network namespace of its own.

use std::{env, process::Stdio};

use anyhow::{Context, ensure};
use ilb_testbed::{Ilb, in_a_network, open_loopback};
use tokio::process::Command;

use crate::{contender::Contender, load::Load, measurements::Measurement, scenario::Scenario, system::System};

/// Argument that makes this program [measure].
pub(crate) const NAME: &str = "alone";

/// Runs a contender in a scenario by another process, whose sockets vanish with its namespace.
pub(crate) async fn run(scenario: &Scenario, contender: Contender) -> anyhow::Result<Measurement> {
    let mut command = in_a_network("setpriv");
    Ilb::share_with(&mut command)?;
    let mut command = Command::from(command);
    command.args(["--pdeathsig", "KILL", "--"]).arg(env::current_exe()?).args([NAME, scenario.name, contender.name()]);
    let child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().context("cannot run unshare")?;
    let output = child.wait_with_output().await?;
    ensure!(
        output.status.success(),
        "{} failed in a network namespace of its own, which needs root or user namespaces",
        contender.name()
    );
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Measures a contender in a scenario in this process, and prints the measurement for the process that [runs](run) it.
pub(crate) async fn measure(scenario: &'static Scenario, contender: Contender) -> anyhow::Result<()> {
    open_loopback()?;
    let system = System::start(contender, scenario, None).await?;
    let (_, measurement) = Load::new(system, scenario).await?.run().await?;
    println!("{}", serde_json::to_string(&measurement)?);
    Ok(())
}
