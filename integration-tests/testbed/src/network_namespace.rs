//! Network namespaces, in which a test may lose packets or a whole family of addresses.

use std::{env, fs, net::IpAddr, process::Command};

use anyhow::{Context, ensure};

/// Runs the calling test once more in a network namespace of its own, where it may do harm.
///
/// Returns true there; the namespace has nothing but a loopback device. Everywhere else it waits until the test has
/// ended there, returns an error if it failed, and otherwise false: then nothing is left to do. `test` is the path of the
/// test in its binary, such as `module::name`.
pub fn alone_in_a_network(test: &str) -> anyhow::Result<bool> {
    const NAMESPACE_VARIABLE: &str = "ILB_TESTBED_NETWORK";
    if env::var_os(NAMESPACE_VARIABLE).is_some() {
        run("ip", &["link", "set", "lo", "up"])?;
        return Ok(true);
    }
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command.args(["--net", "--"]).arg(env::current_exe()?);
    command.args(["--exact", test, "--include-ignored", "--nocapture"]).env(NAMESPACE_VARIABLE, "1");
    let output = command.output().context("cannot run unshare")?;
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{stdout}");
    ensure!(output.status.success(), "in a network namespace of its own {test} failed:\n{stderr}");
    ensure!(stdout.contains("1 passed"), "there is no test {test}: it has another name or another module now");
    Ok(false)
}

/// Gives the network namespace that this process is in another address. Only for a namespace of the test's own.
pub fn add_address(address: IpAddr) -> anyhow::Result<()> {
    run("ip", &["address", "add", &address.to_string(), "dev", "lo"])
}

/// Drops every packet of the network namespace that this process is in. Only for a namespace of the test's own.
pub fn lose_packets() -> anyhow::Result<()> {
    run("tc", &["qdisc", "add", "dev", "lo", "root", "blackhole"])
}

/// Undoes [`lose_packets`].
pub fn deliver_packets() -> anyhow::Result<()> {
    run("tc", &["qdisc", "del", "dev", "lo", "root", "blackhole"])
}

/// Switches IPv6 off in the network namespace that this process is in. Only for a namespace of the test's own.
pub fn switch_ipv6_off() -> anyhow::Result<()> {
    write_sysctl("ipv6/conf/all/disable_ipv6", "1")
}

/// Lets sockets for IPv6 serve nothing else unless they ask for it, as some distributions do. Only for a namespace of the
/// test's own.
pub fn keep_families_apart() -> anyhow::Result<()> {
    write_sysctl("ipv6/bindv6only", "1")
}

/// Removes all addresses of IPv4 from the network namespace that this process is in. Only for a namespace of the test's own.
pub fn remove_ipv4() -> anyhow::Result<()> {
    run("ip", &["-4", "address", "flush", "dev", "lo"])
}

fn write_sysctl(name: &str, value: &str) -> anyhow::Result<()> {
    fs::write(format!("/proc/sys/net/{name}"), value).with_context(|| format!("cannot set {name}"))
}

fn run(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let status = Command::new(program).args(arguments).status().with_context(|| format!("cannot run {program}"))?;
    ensure!(status.success(), "{program} {} failed", arguments.join(" "));
    Ok(())
}
