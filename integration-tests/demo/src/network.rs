//! A network of the demo's own, in which connections can be closed on purpose.

use std::{env, os::unix::process::CommandExt, process::Command};

use anyhow::{Context, ensure};
use ilb_testbed::{BACKEND_PORT, CloserProcess, Group, Ilb, Privileges, host_network, in_a_network, open_loopback};

/// Variable that is set in the network.
const NETWORK_VARIABLE: &str = "ILB_DEMO_NETWORK";

/// Continues this program in a network namespace of its own, if that is possible: then it does not return. An error says why
/// it is not.
pub(crate) fn enter() -> anyhow::Result<()> {
    if is_own() {
        return Ok(());
    }
    // A network device, and the program that closes connections: both need what not every system allows.
    let mut probe = in_a_network("sh");
    probe.args(["-c", "command -v setpriv && ip link set lo up"]);
    let output = probe.output().context("there is no unshare (util-linux)")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    let mut command: Command = in_a_network(env::current_exe()?);
    Ilb::share_with(&mut command)?;
    Err(command.env(NETWORK_VARIABLE, "1").exec()).context("cannot run unshare")
}

/// Returns whether this process runs in a network namespace of its own.
pub(crate) fn is_own() -> bool {
    env::var_os(NETWORK_VARIABLE).is_some()
}

/// Sets the network up.
pub(crate) fn prepare() -> anyhow::Result<()> {
    open_loopback()?;
    host_network(Group::BEYOND_LOOPBACK)
}

/// Starts the program that closes connections, with the privileges that it has in a pod.
pub(crate) async fn closer() -> anyhow::Result<CloserProcess> {
    let (networks, port) = (format!("--networks={}", Group::BEYOND_LOOPBACK), format!("--ports={BACKEND_PORT}"));
    let flags = [networks.as_str(), &port, "--entry-ports=3333", "--max-rate=50"];
    CloserProcess::start(Privileges::ROOT_WITH_NET_ADMIN, &flags).await
}
