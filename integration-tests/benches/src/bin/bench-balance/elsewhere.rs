//! Backends in a process of their own, since a process may have 20 000 open files on many machines.

use std::{env, net::SocketAddr, process::Stdio};

use anyhow::{Context, ensure};
use ilb_testbed::{Backend, Behaviour};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, Command},
};

/// Argument that makes this program [serve] as backends.
pub(crate) const NAME: &str = "serve-as-backends";

/// A process with backends. Dropping it ends them.
pub(crate) struct Elsewhere {
    _process: Child,
}

/// Line after the addresses, and the answer once the backends listen.
const ALL: &str = "all";

impl Elsewhere {
    /// Starts backends at these addresses.
    pub(crate) async fn start(addresses: &[SocketAddr]) -> anyhow::Result<Self> {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(env::current_exe()?).arg(NAME);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let lines = addresses.iter().map(ToString::to_string).chain([ALL.to_owned()]).collect::<Vec<_>>().join("\n");
        // It stays open, so that the process lives.
        let input = process.stdin.as_mut().context("no input")?;
        input.write_all(format!("{lines}\n").as_bytes()).await?;
        let mut answer = BufReader::new(process.stdout.take().context("no output")?).lines();
        ensure!(answer.next_line().await?.as_deref() == Some(ALL), "the backends do not listen");
        Ok(Self { _process: process })
    }
}

/// Reads addresses from the standard input, and serves there until that ends.
pub(crate) async fn serve() -> anyhow::Result<()> {
    let mut listening = Vec::new();
    // It may block this thread: the backends have others.
    for line in std::io::stdin().lines() {
        let line = line?;
        if line == ALL {
            println!("{ALL}");
        } else {
            listening.push(Backend::start(line.parse()?, Behaviour::Echo).await?);
        }
    }
    Ok(())
}
