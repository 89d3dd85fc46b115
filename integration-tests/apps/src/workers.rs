//! Processes that keep clients of an application busy, and what they report.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use anyhow::{Context, ensure};
use ilb_testbed::{eventually_within, in_checkout, tools};
use serde::Deserialize;
use serde_json::Value;

use crate::limits;

/// Clients in a process of their own, each of which makes one operation after the other.
#[derive(Debug)]
pub(crate) struct Workers {
    child: Child,
    lines: Arc<Mutex<Vec<Line>>>,
    load: Load,
}

/// Lines of clients, as they come.
#[derive(Clone, Debug)]
pub(crate) struct Reports(Arc<Mutex<Vec<Line>>>);

/// Outcome of something that a client did.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Line {
    pub(crate) client: usize,
    #[serde(flatten)]
    pub(crate) what: What,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "is", rename_all = "lowercase")]
pub(crate) enum What {
    /// The client has a new connection.
    Connected,
    /// The operation with this number was confirmed, this long after the first attempt, in seconds.
    Confirmed { number: u64, waited: f64 },
    /// The operation with this number ended with an exception of this class.
    Failed { number: u64, error: String, text: String },
    /// The client has seen this, so many times: something that is no operation.
    Noted { what: String, count: usize },
    /// All clients have ended.
    Stopped,
}

/// Way in which clients of an application work.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    /// Script in `integration-tests/testbed/clients/work`.
    pub(crate) script: &'static str,
    pub(crate) clients: usize,
    /// Set if the servers store the numbers of their operations.
    pub(crate) stores: bool,
    /// Mean pause of a client after an operation, in seconds.
    pub(crate) pause: f64,
    /// Options of the script.
    pub(crate) options: Value,
}

impl Workers {
    /// Starts clients that connect to `entry`, and waits until each has confirmed operations.
    pub(crate) async fn start(entry: SocketAddr, load: &Load) -> anyhow::Result<Self> {
        let script = in_checkout("integration-tests/testbed/clients/work").join(load.script);
        let mut command = Command::new(tools::path("python-with-clients")?);
        command.args(["-B", "-E", "-s"]).arg(script);
        command.args([
            entry.ip().to_string(),
            entry.port().to_string(),
            load.clients.to_string(),
            load.pause.to_string(),
        ]);
        command.arg(load.options.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let this = Self::spawn(command, load)?;
        this.turns(2).await.with_context(|| format!("{}: {}", load.script, this.last_error()))?;
        Ok(this)
    }

    fn spawn(mut command: Command, load: &Load) -> anyhow::Result<Self> {
        let mut child =
            command.spawn().with_context(|| format!("cannot start {}", Path::new(load.script).display()))?;
        let stdout = child.stdout.take().context("no standard output")?;
        let lines = Arc::<Mutex<Vec<Line>>>::default();
        let of_reader = Arc::clone(&lines);
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let Ok(line) = serde_json::from_str(&line) else { continue };
                of_reader.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        Ok(Self { child, lines, load: load.clone() })
    }

    /// Returns how the clients work.
    pub(crate) fn load(&self) -> &Load {
        &self.load
    }

    /// Returns the lines, also those to come.
    pub(crate) fn reports(&self) -> Reports {
        Reports(Arc::clone(&self.lines))
    }

    /// Returns how many lines there are so far: the beginning of a window.
    pub(crate) fn position(&self) -> usize {
        self.lines().len()
    }

    /// Returns the lines from `position` on.
    pub(crate) fn since(&self, position: usize) -> Vec<Line> {
        self.lines()[position..].to_vec()
    }

    /// Forgets all lines so far, which no window may begin before.
    pub(crate) fn forget(&self) {
        self.lines().clear();
    }

    /// Waits until each client has had so many operations confirmed from now on.
    pub(crate) async fn turns(&self, turns: usize) -> anyhow::Result<()> {
        let position = self.position();
        eventually_within(limits::BACK, "each client gets operations confirmed", async || {
            let mut confirmed = BTreeMap::<usize, usize>::new();
            for line in &self.lines()[position..] {
                if matches!(line.what, What::Confirmed { .. }) {
                    *confirmed.entry(line.client).or_default() += 1;
                }
            }
            let done = confirmed.values().filter(|number| **number >= turns).count();
            ensure!(done == self.load.clients, "{done} of {}; {}", self.load.clients, self.last_error());
            Ok(())
        })
        .await
    }

    /// Lets the clients end after their operations.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        let stdin = self.child.stdin.as_mut().context("no standard input")?;
        stdin.write_all(b"stop\n").context("the clients have exited")?;
        eventually_within(limits::BACK, "the clients end", async || {
            let is_stopped = self.lines().iter().any(|line| line.what == What::Stopped);
            ensure!(is_stopped, "not yet");
            Ok(())
        })
        .await
    }

    fn last_error(&self) -> String {
        let lines = self.lines();
        let error = lines.iter().rev().find_map(|line| match &line.what {
            What::Failed { error, text, .. } => Some(format!("the last error is {error}: {text}")),
            _ => None,
        });
        error.unwrap_or_else(|| "without any error".to_owned())
    }

    fn lines(&self) -> MutexGuard<'_, Vec<Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reports {
    /// Returns the lines from `position` on.
    pub(crate) fn since(&self, position: usize) -> Vec<Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)[position..].to_vec()
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
