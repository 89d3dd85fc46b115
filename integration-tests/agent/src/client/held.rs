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

/// How often each connection sends a line and waits for it to come back.
const TALK_EVERY: Duration = Duration::from_millis(100);

/// Connections that are kept open and in use. They end when this is dropped.
#[derive(Default)]
pub(crate) struct Held {
    report: Arc<Mutex<Report>>,
    talks: JoinSet<()>,
}

/// How they are.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// Live connections per pod.
    open: BTreeMap<String, u32>,
    /// Those that ended although nobody wanted it: pod and reason, in the order in which it was noticed.
    cut: Vec<String>,
    /// Lines that came back.
    echoes: u64,
}

impl Held {
    /// Goes on talking on this connection to `pod`.
    pub(crate) fn keep(&mut self, stream: BufReader<TcpStream>, pod: String) {
        let report = self.report.clone();
        *lock(&report).open.entry(pod.clone()).or_default() += 1;
        self.talks.spawn(async move {
            let Err(reason) = talk(stream, &report).await;
            let mut report = lock(&report);
            if let Some(open) = report.open.get_mut(&pod) {
                *open -= 1;
            }
            report.open.retain(|_, open| *open > 0);
            report.cut.push(format!("{pod}: {reason:#}"));
        });
    }

    /// As JSON.
    pub(crate) fn report(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string(&*lock(&self.report))?)
    }
}

async fn talk(mut stream: BufReader<TcpStream>, report: &Mutex<Report>) -> anyhow::Result<std::convert::Infallible> {
    let mut line = String::new();
    loop {
        stream.write_all(b"still there?\n").await?;
        line.clear();
        let read = timeout(super::PATIENCE, stream.read_line(&mut line)).await.context("no echo")??;
        ensure!(read > 0, "closed by the other side");
        ensure!(line == "still there?\n", "the backend said {line:?}");
        lock(report).echoes += 1;
        sleep(TALK_EVERY).await;
    }
}

fn lock(report: &Mutex<Report>) -> std::sync::MutexGuard<'_, Report> {
    report.lock().unwrap_or_else(PoisonError::into_inner)
}
