use std::{env, process::Command};

use anyhow::{Context, ensure};

/// Runs the calling test once more in a network of its own, with nothing but a loopback device, where it may do harm.
///
/// Returns true there. Everywhere else it waits for the test's end, fails if it failed, and returns false: then there
/// is nothing more to do. `test` is the test's name.
pub fn alone_in_a_network(test: &str) -> anyhow::Result<bool> {
    const INSIDE: &str = "ILB_TESTBED_NETWORK";
    if env::var_os(INSIDE).is_some() {
        run("ip", &["link", "set", "lo", "up"])?;
        return Ok(true);
    }
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command.args(["--net", "--"]).arg(env::current_exe()?);
    command.args(["--exact", test, "--include-ignored", "--nocapture"]).env(INSIDE, "1");
    let status = command.status().context("cannot run unshare")?;
    ensure!(status.success(), "in a network of its own {test} failed");
    Ok(false)
}

/// Loses every packet of the network that this process is in, or none any more. Only for a network of its own.
pub fn lose_packets(lose: bool) -> anyhow::Result<()> {
    let change = if lose { "add" } else { "del" };
    run("tc", &["qdisc", change, "dev", "lo", "root", "blackhole"])
}

fn run(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let status = Command::new(program).args(arguments).status().with_context(|| format!("cannot run {program}"))?;
    ensure!(status.success(), "{program} {} failed", arguments.join(" "));
    Ok(())
}
