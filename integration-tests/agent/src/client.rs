//! A client that executes orders.

mod dial;
mod held;
mod kept;
mod tally;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, bail};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
    task::JoinHandle,
    time::interval,
};

pub(crate) use dial::open;

use crate::termination;
use held::Held;
use kept::Kept;
use tally::Tally;

/// Address at which a client receives orders: only its own pod can send them.
pub(crate) const ORDERS: &str = "127.0.0.1:7000";

/// Time between two connections of `watch`.
const WATCH_PERIOD: Duration = Duration::from_millis(20);

/// Executes orders about connections to `target`, each a line, and answers each with a line of JSON:
///
/// * `dial N`: open N connections, one after the other, and close each at once;
/// * `watch`: from now on do so 50 times a second; `seen`: stop, and return the outcomes;
/// * `hold N`: open N connections and use them; `held`: return their state; `release`: close them;
/// * `keep N`: start N clients that connect again when their connection ends; `kept`: return their state; `dismiss`: end them.
pub(crate) async fn run(target: String) -> anyhow::Result<()> {
    let listener = TcpListener::bind(ORDERS).await?;
    let mut client = Client { target: target.into(), held: Held::default(), kept: Kept::default(), watch: None };
    let end = termination::requested();
    tokio::pin!(end);
    loop {
        let (stream, _) = tokio::select! {
            result = &mut end => return result,
            accepted = listener.accept() => accepted?,
        };
        let mut stream = BufReader::new(stream);
        let mut order = String::new();
        stream.read_line(&mut order).await?;
        let answer = client.execute(order.trim()).await.unwrap_or_else(|error| format!("{{\"error\": \"{error:#}\"}}"));
        stream.write_all(format!("{answer}\n").as_bytes()).await?;
    }
}

struct Client {
    target: Arc<str>,
    held: Held,
    kept: Kept,
    watch: Option<Watch>,
}

impl Client {
    async fn execute(&mut self, order: &str) -> anyhow::Result<String> {
        match order.split_once(' ').unwrap_or((order, "")) {
            ("dial", count) => {
                let mut tally = Tally::default();
                for _ in 0..count.parse::<u32>()? {
                    tally.add(open(&self.target).await.map(|(_, greeting)| greeting));
                }
                Ok(serde_json::to_string(&tally)?)
            }
            ("watch", "") => {
                self.watch = Some(Watch::start(self.target.clone()));
                Ok("{}".to_owned())
            }
            ("seen", "") => {
                let watch = self.watch.take().context("nothing is watched")?;
                Ok(serde_json::to_string(&watch.end())?)
            }
            ("hold", count) => {
                for _ in 0..count.parse::<u32>()? {
                    let (stream, greeting) = open(&self.target).await?;
                    self.held.keep(stream, greeting.pod);
                }
                self.held.report()
            }
            ("held", "") => self.held.report(),
            ("release", "") => {
                let report = self.held.report()?;
                self.held = Held::default();
                Ok(report)
            }
            ("keep", count) => {
                self.kept.add(count.parse()?, &self.target).await?;
                self.kept.report()
            }
            ("kept", "") => self.kept.report(),
            ("dismiss", "") => {
                let report = self.kept.report()?;
                self.kept = Kept::default();
                Ok(report)
            }
            _ => bail!("unknown order {order:?}"),
        }
    }
}

/// A task that opens and closes connections, one after the other.
struct Watch {
    tally: Arc<Mutex<Tally>>,
    task: JoinHandle<()>,
}

impl Watch {
    fn start(target: Arc<str>) -> Self {
        let tally = Arc::new(Mutex::new(Tally::default()));
        let shared = tally.clone();
        let task = tokio::spawn(async move {
            let mut ticks = interval(WATCH_PERIOD);
            loop {
                ticks.tick().await;
                let outcome = open(&target).await.map(|(_, greeting)| greeting);
                shared.lock().unwrap_or_else(PoisonError::into_inner).add(outcome);
            }
        });
        Self { tally, task }
    }

    fn end(self) -> Tally {
        self.task.abort();
        std::mem::take(&mut *self.tally.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
