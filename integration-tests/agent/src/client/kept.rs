//! Clients that connect again when their connection ends.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use serde::Serialize;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::dial::{STEP_LIMIT, open};
use crate::request::Request;

/// Time between two requests of a client, and by how much clients differ in it.
const PAUSE: Duration = Duration::from_millis(700);
const DIFFERENCE: Duration = Duration::from_millis(10);

/// Time until a client tries again after it could not connect.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Clients with a connection each, which they use and open again when it ends. Dropping this ends them.
#[derive(Default)]
pub(super) struct Kept {
    report: Arc<Mutex<Report>>,
    tasks: JoinSet<()>,
}

/// The state of all clients.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// Open connections per pod.
    open: BTreeMap<String, u32>,
    /// Number of connections that ended while no request was under way.
    ended: u32,
    /// Number of requests that were sent in the moment in which the connection was closed, and have reached no backend.
    crossed: u32,
    /// Requests that reached a backend and have no answer.
    cut: Vec<String>,
    /// Number of failures to connect.
    refused: u32,
    /// Number of answered requests.
    answered: u64,
}

impl Kept {
    /// Starts `count` clients of `target`, and waits until each has a connection.
    pub(super) async fn add(&mut self, count: u32, target: &Arc<str>) -> anyhow::Result<()> {
        for index in 0..count {
            let first = Session::open(target, &self.report).await?;
            self.tasks.spawn(work(target.clone(), first, self.report.clone(), PAUSE + DIFFERENCE * (index % 30)));
        }
        Ok(())
    }

    /// Returns the state as JSON.
    pub(super) fn report(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string(&*lock(&self.report))?)
    }
}

/// Uses one connection after the other.
async fn work(target: Arc<str>, first: Session, report: Arc<Mutex<Report>>, pause: Duration) {
    let mut session = first;
    loop {
        let end = session.work(pause, &report).await;
        {
            let mut report = lock(&report);
            if let Some(open) = report.open.get_mut(&session.pod) {
                *open -= 1;
            }
            report.open.retain(|_, open| *open > 0);
            match end {
                End::WhileIdle => report.ended += 1,
                End::Crossed => report.crossed += 1,
                End::Cut(reason) => report.cut.push(format!("{}: {reason}", session.pod)),
            }
        }
        session = loop {
            match Session::open(&target, &report).await {
                Ok(session) => break session,
                Err(_) => lock(&report).refused += 1,
            }
            sleep(RETRY_PAUSE).await;
        };
    }
}

/// A connection.
struct Session {
    stream: BufReader<TcpStream>,
    pod: String,
    address: SocketAddr,
}

/// The end of a connection.
enum End {
    WhileIdle,
    Crossed,
    Cut(String),
}

impl Session {
    async fn open(target: &str, report: &Mutex<Report>) -> anyhow::Result<Self> {
        let (stream, greeting) = open(target).await?;
        *lock(report).open.entry(greeting.pod.clone()).or_default() += 1;
        Ok(Self { stream, pod: greeting.pod, address: greeting.address })
    }

    /// Sends requests until the connection ends.
    async fn work(&mut self, pause: Duration, report: &Mutex<Report>) -> End {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        loop {
            match timeout(pause, self.stream.fill_buf()).await {
                Err(_) => {}
                Ok(Ok(unasked)) if !unasked.is_empty() => return End::Cut(format!("it sent {unasked:?} unasked")),
                Ok(_) => return End::WhileIdle,
            }
            let request = Request::Work(NEXT.fetch_add(1, Ordering::Relaxed));
            match exchange(&mut self.stream, request).await {
                Ok(answer) if answer == request.line() => lock(report).answered += 1,
                Ok(answer) => return self.judge(request, &format!("answered with {answer:?}")).await,
                Err(error) => return self.judge(request, &format!("{error:#}")).await,
            }
        }
    }

    /// Asks the backend itself, past the balancer, whether a request without an answer has arrived.
    async fn judge(&self, request: Request, reason: &str) -> End {
        let Request::Work(number) = request else { return End::Cut(reason.to_owned()) };
        let asked = async {
            let (mut stream, _) = open(&self.address.to_string()).await?;
            exchange(&mut stream, Request::HasArrived(number)).await
        };
        match asked.await.as_deref() {
            Ok("false\n") => End::Crossed,
            Ok(_) => End::Cut(format!("request {number} arrived and has no answer: {reason}")),
            Err(error) => {
                End::Cut(format!("request {number} has no answer ({reason}), and nobody knows of it: {error:#}"))
            }
        }
    }
}

async fn exchange(stream: &mut BufReader<TcpStream>, request: Request) -> anyhow::Result<String> {
    let mut answer = String::new();
    stream.write_all(request.line().as_bytes()).await?;
    timeout(STEP_LIMIT, stream.read_line(&mut answer)).await.context("no answer")??;
    Ok(answer)
}

fn lock(report: &Mutex<Report>) -> std::sync::MutexGuard<'_, Report> {
    report.lock().unwrap_or_else(PoisonError::into_inner)
}
