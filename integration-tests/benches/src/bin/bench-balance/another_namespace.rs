//! Sockets in another network namespace, as other pods of a node have them.

use std::{env, process::Stdio};

use anyhow::{Context, ensure};
use futures_util::future::try_join_all;
use ilb_testbed::{in_a_network, open_loopback};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
};

/// Argument that makes this program [hold] sockets.
pub(crate) const NAME: &str = "hold-sockets";

/// Processes that hold sockets in namespaces of their own. Dropping it ends them.
pub(crate) struct AnotherNamespace {
    _processes: Vec<Child>,
}

/// Number of sockets: both ends of half as many connections.
pub(crate) const SOCKETS: usize = 50_000;
/// Number of processes, since a process may have 20 000 open files on many machines.
const PROCESSES: usize = 4;
/// Line that a process prints once it has its sockets.
const DONE: &str = "open";

impl AnotherNamespace {
    /// Opens the sockets.
    pub(crate) async fn fill() -> anyhow::Result<Self> {
        let started = try_join_all((0..PROCESSES).map(|_| start())).await?;
        Ok(Self { _processes: started })
    }
}

async fn start() -> anyhow::Result<Child> {
    let mut command = Command::from(in_a_network("setpriv"));
    command.args(["--pdeathsig", "KILL", "--"]).arg(env::current_exe()?).arg(NAME);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
    let line = lines.next_line().await?;
    ensure!(line.as_deref() == Some(DONE), "a process that holds sockets has failed");
    Ok(child)
}

/// Opens this process's part of the sockets, and holds them until the standard input ends.
pub(crate) async fn hold() -> anyhow::Result<()> {
    open_loopback()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let mut held = Vec::new();
    for _ in 0..SOCKETS / PROCESSES / 2 {
        let (near, far) = tokio::try_join!(TcpStream::connect(address), listener.accept())?;
        held.push((near, far.0));
    }
    println!("{DONE}");
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?; // nothing else is to be done meanwhile
    Ok(())
}
