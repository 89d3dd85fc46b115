//! Connections that stay open and in use.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, ensure};
use serde::Serialize;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};

/// Time between two lines on each connection.
const LINE_PERIOD: Duration = Duration::from_millis(100);

/// Time limit for an echo: far longer than one takes in a working system.
const ECHO_LIMIT: Duration = Duration::from_secs(5);

/// Connections that stay open and in use. Dropping this closes them.
#[derive(Default)]
pub(crate) struct Held {
    report: Arc<Mutex<Report>>,
    tasks: JoinSet<()>,
}

/// The state of all connections.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// Open connections per pod.
    open: BTreeMap<String, u32>,
    /// Connections that the client did not end: pod and reason, in the order in which that was noticed.
    cut: Vec<String>,
    /// Number of echoed lines.
    echoes: u64,
}

impl Held {
    /// Keeps this connection to `pod` open and in use.
    pub(crate) fn keep(&mut self, stream: BufReader<TcpStream>, pod: String) {
        let report = self.report.clone();
        *lock(&report).open.entry(pod.clone()).or_default() += 1;
        self.tasks.spawn(async move {
            let Err(reason) = exchange_lines(stream, &report).await;
            let mut report = lock(&report);
            if let Some(open) = report.open.get_mut(&pod) {
                *open -= 1;
            }
            report.open.retain(|_, open| *open > 0);
            report.cut.push(format!("{pod}: {reason:#}"));
        });
    }

    /// Returns the state as JSON.
    pub(crate) fn report(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string(&*lock(&self.report))?)
    }
}

/// Sends lines and reads their echoes until the connection ends.
async fn exchange_lines(
    mut stream: BufReader<TcpStream>,
    report: &Mutex<Report>,
) -> anyhow::Result<std::convert::Infallible> {
    let mut line = String::new();
    loop {
        stream.write_all(b"still there?\n").await?;
        line.clear();
        let read = timeout(ECHO_LIMIT, stream.read_line(&mut line)).await.context("no echo")??;
        ensure!(read > 0, "closed by the other side");
        ensure!(line == "still there?\n", "the backend sent {line:?}");
        lock(report).echoes += 1;
        sleep(LINE_PERIOD).await;
    }
}

fn lock(report: &Mutex<Report>) -> std::sync::MutexGuard<'_, Report> {
    report.lock().unwrap_or_else(PoisonError::into_inner)
}
