//! Network namespaces, in which a test or a bench may lose packets or a whole family of addresses.

use std::{
    env,
    ffi::OsStr,
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    net::{IpAddr, Ipv4Addr},
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Runs the calling test once more in a network namespace of its own, where it may do harm.
///
/// Returns true there; the namespace has nothing but a loopback device. Everywhere else it waits until the test has
/// ended there, returns an error if it failed, and otherwise false: then nothing is left to do. `test` is the path of the
/// test in its binary, such as `module::name`.
pub fn alone_in_a_network(test: &str) -> anyhow::Result<bool> {
    const NAMESPACE_VARIABLE: &str = "ILB_TESTBED_NETWORK";
    if env::var_os(NAMESPACE_VARIABLE).is_some() {
        open_loopback()?;
        return Ok(true);
    }
    let mut command = in_a_network(env::current_exe()?);
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

/// Makes every address of `network` reach the network namespace that this process is in, without being one of its own
/// addresses: programs can listen there as if they were other hosts. Only for a namespace of the test's own.
pub fn host_network(network: &str) -> anyhow::Result<()> {
    run("ip", &["route", "add", "local", network, "dev", "lo"])
}

/// Returns the command that runs `program` in a network namespace of its own, as root there. The namespace has nothing but a
/// loopback device, which is still [down](open_loopback).
pub fn in_a_network(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command.args(["--net", "--"]).arg(program);
    command
}

/// Switches the loopback device on. Only for a namespace of one's own.
pub fn open_loopback() -> anyhow::Result<()> {
    run("ip", &["link", "set", "lo", "up"])
}

/// A network device whose packets arrive nowhere, in a namespace of one's own.
#[derive(Debug)]
pub struct Void {
    _private: (),
}

impl Void {
    /// Creates the device.
    pub fn new() -> anyhow::Result<Self> {
        batch("link add void type veth peer name nowhere\nlink set void arp off up\nlink set nowhere arp off up\n")?;
        // Connections on loopback come from 127.0.0.1, which no other device may send from unless it is allowed to.
        fs::write("/proc/sys/net/ipv4/conf/void/route_localnet", "1")?;
        Ok(Self { _private: () })
    }

    /// Makes loopback addresses vanish as those of a lost node do: all at once, no packet to them arrives any more, not even
    /// of open connections, and nothing answers.
    pub fn swallow(&self, addresses: impl IntoIterator<Item = IpAddr>) -> anyhow::Result<()> {
        let routes = addresses.into_iter().map(|address| format!("route add {address} dev void table local\n"));
        batch(&routes.collect::<String>())
    }
}

/// The network that a program runs in: by default the one of its starter.
#[derive(Clone, Debug, Default)]
pub struct Network(Option<PathBuf>);

impl Network {
    /// Returns the command that runs `command`, whose arguments and variables are complete, in this network.
    pub(crate) fn command(&self, command: &Command) -> Command {
        let mut inside = match self.0.as_deref().map(Path::display) {
            None => Command::new(command.get_program()),
            Some(path) => {
                let mut inside = Command::new("nsenter");
                inside.arg(format!("--net={path}")).arg("--").arg(command.get_program());
                inside
            }
        };
        inside.args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        inside
    }
}

/// Another network namespace, from which this process's servers on loopback are reached as from another pod: over a device,
/// by their own addresses. Only in a namespace of one's own.
#[derive(Debug)]
pub struct Neighbour {
    /// Number of the device that leads there, which no other one of this namespace has.
    number: u16,
    /// Keeps the namespace alive.
    holder: Child,
    namespace: File,
}

impl Neighbour {
    /// Creates the namespace, and the device that leads there.
    pub fn new() -> anyhow::Result<Self> {
        Self::numbered(0)
    }

    fn numbered(number: u16) -> anyhow::Result<Self> {
        let mut command = in_a_network("setpriv");
        command.args(["--pdeathsig", "KILL", "--", "sh", "-c", "echo; exec cat"]);
        let mut holder = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("cannot run unshare")?;
        // With the first line, the namespace is there.
        BufReader::new(holder.stdout.take().context("no output")?).read_line(&mut String::new())?;
        let namespace = format!("/proc/{}/ns/net", holder.id());
        let namespace = File::open(&namespace).with_context(|| namespace.clone())?;
        let this = Self { number, holder, namespace };
        let (device, gateway, address) = (this.device(), this.gateway(), this.address());
        batch(&format!(
            "link add {device} type veth peer name here netns {}\naddress add {gateway}/24 dev {device}\n\
             link set {device} up\n",
            this.holder.id()
        ))?;
        // Other devices than loopback may neither send nor receive its addresses unless they are allowed to.
        fs::write(format!("/proc/sys/net/ipv4/conf/{device}/route_localnet"), "1")?;
        // The loopback device there stays down, so that its addresses are free to be those of this namespace.
        this.run_there(&format!(
            "echo 1 > /proc/sys/net/ipv4/conf/here/route_localnet && ip address add {address}/24 dev here && \
             ip link set here up && ip route add 127.0.0.0/8 via {gateway} dev here src {address} && \
             ip route add {} via {gateway} dev here",
            Self::ALL
        ))?;
        Ok(this)
    }

    /// Creates a namespace such as that of another pod, which reaches whatever this one does, and the other neighbours. No
    /// other pod of this namespace may have this number, which is not 0.
    pub fn numbered_pod(number: u16) -> anyhow::Result<Self> {
        let this = Self::numbered(number)?;
        fs::write("/proc/sys/net/ipv4/ip_forward", "1")?;
        this.run_there(&format!("ip link set lo up && ip route add default via {} dev here", this.gateway()))?;
        Ok(this)
    }

    /// Loses all packets between this pod and another one, both of which have numbers.
    pub fn cut_off(&self, other: &Self) -> anyhow::Result<()> {
        let (own, other) = (self.address(), other.address());
        let rule = |from: Ipv4Addr, to: Ipv4Addr| format!("rule add from {from} to {to} blackhole\n");
        batch(&[rule(own, other), rule(other, own)].concat())
    }

    /// Makes every address of `network` one of the other namespace, at which servers there are reached from here: other hosts.
    pub fn host_network(&self, network: &str) -> anyhow::Result<()> {
        self.run_there(&format!("ip route add local {network} dev here"))?;
        run("ip", &["route", "add", network, "via", &self.address().to_string(), "dev", &self.device()])
    }

    /// Switches the loopback device there on, so that programs there reach each other by it, and no longer those here.
    pub fn open_loopback(&self) -> anyhow::Result<()> {
        self.run_there("ip link set lo up")
    }

    /// Creates a namespace such as that of another pod: it has a loopback device of its own, and of this one it reaches the
    /// addresses of `network`, such as a [network of hosts](host_network).
    pub fn pod(network: &str) -> anyhow::Result<Self> {
        let this = Self::new()?;
        this.run_there(&format!("ip link set lo up && ip route add {network} via {} dev here", this.gateway()))?;
        Ok(this)
    }

    /// Address of the namespace that has no number.
    pub const ADDRESS: Ipv4Addr = Self::address_of(0);

    /// Network of the addresses of all namespaces.
    const ALL: &str = "10.240.0.0/12";

    /// Returns its number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// Returns the address of the namespace.
    pub fn address(&self) -> Ipv4Addr {
        Self::address_of(self.number)
    }

    /// Returns the address of the namespace with this number.
    pub const fn address_of(number: u16) -> Ipv4Addr {
        let [high, low] = number.to_be_bytes();
        Ipv4Addr::new(10, 254 - high % 14, low, 2)
    }

    /// Returns the address of this namespace in the network that both have.
    fn gateway(&self) -> Ipv4Addr {
        let [a, b, c, _] = self.address().octets();
        Ipv4Addr::new(a, b, c, 1)
    }

    fn device(&self) -> String {
        format!("neighbour{}", self.number)
    }

    /// Runs a script of the shell there.
    fn run_there(&self, script: &str) -> anyhow::Result<()> {
        let mut command = self.network().command(Command::new("sh").args(["-c", script]));
        let status = command.status().context("cannot run nsenter")?;
        ensure!(status.success(), "{script} failed");
        Ok(())
    }

    /// Returns the network that programs are in which run there.
    pub fn network(&self) -> Network {
        Network(Some(format!("/proc/{}/ns/net", self.holder.id()).into()))
    }

    /// Moves the calling thread there: what it opens and starts from now on is there.
    pub fn enter(&self) -> anyhow::Result<()> {
        Ok(move_into_link_name_space(self.namespace.as_fd(), Some(LinkNameSpaceType::Network))?)
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        drop(self.holder.stdin.take()); // which ends it
        let _ = self.holder.wait();
    }
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

/// Runs commands of `ip`, one a line, in one process.
fn batch(commands: &str) -> anyhow::Result<()> {
    let mut child = Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn().context("cannot run ip")?;
    child.stdin.take().context("ip has no standard input")?.write_all(commands.as_bytes())?;
    ensure!(child.wait()?.success(), "ip failed at one of these commands:\n{commands}");
    Ok(())
}
