//! Sessions of a client library, in a process of their own.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{sync::oneshot, time::timeout};

use crate::{Network, tools, wait::eventually};

/// A process with sessions of a client library, each of which has a name and begins with its first command.
///
/// The commands are the methods of the class `Session` in `clients/use_….py`.
#[derive(Debug)]
pub struct Clients {
    child: Child,
    stdin: Mutex<ChildStdin>,
    next: AtomicU64,
    waiting: Waiting,
}

/// A client library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// psycopg, for PostgreSQL.
    Psycopg,
    /// redis-py.
    Redis,
    /// paho-mqtt.
    Paho,
    /// nats-py.
    Nats,
}

/// An exception of a client library.
#[derive(Debug, Deserialize, thiserror::Error)]
#[error("{kind}: {message}")]
pub struct Raised {
    /// Name of its class.
    #[serde(rename = "raised")]
    pub kind: String,
    /// Its text.
    pub message: String,
}

/// A command that has been sent.
#[derive(Debug)]
#[must_use]
pub struct Pending(oneshot::Receiver<Reply>);

type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<Reply>>>>;

#[derive(Debug, Deserialize)]
struct Identified {
    id: u64,
    #[serde(flatten)]
    reply: Reply,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Reply {
    Raised(Raised),
    Returned { returned: Value },
}

/// Time limit for a command: far longer than any takes in a working system.
const LIMIT: Duration = Duration::from_secs(60);

impl Clients {
    /// Starts the process, without any session.
    pub fn start(library: Library) -> anyhow::Result<Self> {
        Self::start_within(&Network::default(), library)
    }

    /// Starts the process in this network.
    pub fn start_within(network: &Network, library: Library) -> anyhow::Result<Self> {
        let script = match library {
            Library::Psycopg => "use_psycopg.py",
            Library::Redis => "use_redis.py",
            Library::Paho => "use_paho.py",
            Library::Nats => "use_nats.py",
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(script);
        let mut command = Command::new(tools::path("python-with-clients")?);
        // No compiled files beside the scripts, and no settings of the user's.
        command.args(["-B", "-E", "-s"]).arg(script);
        let mut command = network.command(&command);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("cannot start Python")?;
        let stdin = Mutex::new(child.stdin.take().context("no standard input")?);
        let stdout = child.stdout.take().context("no standard output")?;
        let waiting = Waiting::default();
        let of_reader = Arc::clone(&waiting);
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let Ok(Identified { id, reply }) = serde_json::from_str(&line) else { break };
                let sender = of_reader.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
                let _ = sender.map(|sender| sender.send(reply));
            }
            // Those who wait are woken by an error.
            of_reader.lock().unwrap_or_else(PoisonError::into_inner).clear();
        });
        Ok(Self { child, stdin, next: AtomicU64::new(0), waiting })
    }

    /// Connects a session to this address, with more arguments for the method `connect`.
    pub async fn connect(&self, session: &str, address: SocketAddr, more: Value) -> anyhow::Result<()> {
        self.call(session, "connect", with_address(address, more)).await.map(drop)
    }

    /// Sends a command, and waits for what it returns. An exception is an error of the type [`Raised`].
    pub async fn call(&self, session: &str, command: &str, arguments: Value) -> anyhow::Result<Value> {
        self.begin(session, command, arguments)?.end().await
    }

    /// Sends a command, and waits for its exception. An error if there is none.
    pub async fn exception(&self, session: &str, command: &str, arguments: Value) -> anyhow::Result<Raised> {
        self.begin(session, command, arguments)?.exception().await
    }

    /// Waits until this part of what the command `state` of a session returns is `expected`.
    pub async fn wait_for(&self, session: &str, part: &str, expected: &Value) -> anyhow::Result<()> {
        eventually("a client gets there", async || {
            let state = self.call(session, "state", json!({})).await?;
            ensure!(state[part] == *expected, "{session}: {state}, expected {part} {expected}");
            Ok(())
        })
        .await
    }

    /// Sends a command without waiting for its end.
    pub fn begin(&self, session: &str, command: &str, arguments: Value) -> anyhow::Result<Pending> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id, sender);
        let mut line = json!({"id": id, "session": session, "do": command});
        line["with"] = arguments;
        let mut stdin = self.stdin.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(stdin, "{line}").context("the client process has exited")?;
        Ok(Pending(receiver))
    }
}

/// Adds an address to the arguments of a command, as `host` and `port`.
pub(crate) fn with_address(address: SocketAddr, mut arguments: Value) -> Value {
    arguments["host"] = json!(address.ip());
    arguments["port"] = json!(address.port());
    arguments
}

impl Pending {
    /// Waits for what the command returns. An exception is an error of the type [`Raised`].
    pub async fn end(self) -> anyhow::Result<Value> {
        match self.reply().await? {
            Reply::Returned { returned } => Ok(returned),
            Reply::Raised(raised) => Err(raised.into()),
        }
    }

    /// Waits for the exception of the command. An error if there is none.
    pub async fn exception(self) -> anyhow::Result<Raised> {
        match self.reply().await? {
            Reply::Returned { returned } => bail!("no exception was raised: it returned {returned}"),
            Reply::Raised(raised) => Ok(raised),
        }
    }

    async fn reply(self) -> anyhow::Result<Reply> {
        let reply = timeout(LIMIT, self.0).await.with_context(|| format!("the command has not ended in {LIMIT:?}"))?;
        reply.context("the client process has exited")
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
