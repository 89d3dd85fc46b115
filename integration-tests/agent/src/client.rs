mod held;
mod tally;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, bail};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::{interval, timeout},
};

use crate::greeting::Greeting;
use held::Held;
use tally::Tally;

/// Where a client takes orders: only from its own pod.
pub(crate) const ORDERS: &str = "127.0.0.1:7000";

/// No step of a connection takes this long in a working system.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often `watch` opens a connection.
const WATCH_EVERY: Duration = Duration::from_millis(20);

/// Takes orders about connections to `target`, each a line, and answers each with a line of JSON:
///
/// * `dial N`: open N connections, one after the other, and close each at once;
/// * `watch`: from now on do so 50 times a second; `seen`: what that gave, and stop;
/// * `hold N`: open N connections and keep talking on them; `held`: how they are; `release`: close them.
pub(crate) async fn run(target: String) -> anyhow::Result<()> {
    let listener = TcpListener::bind(ORDERS).await?;
    let mut client = Client { target: target.into(), held: Held::default(), watch: None };
    let end = crate::terminated();
    tokio::pin!(end);
    loop {
        let (stream, _) = tokio::select! {
            result = &mut end => return result,
            accepted = listener.accept() => accepted?,
        };
        let mut stream = BufReader::new(stream);
        let mut order = String::new();
        stream.read_line(&mut order).await?;
        let answer = client.obey(order.trim()).await.unwrap_or_else(|error| format!("{{\"error\": \"{error:#}\"}}"));
        stream.write_all(format!("{answer}\n").as_bytes()).await?;
    }
}

struct Client {
    target: Arc<str>,
    held: Held,
    watch: Option<Watch>,
}

impl Client {
    async fn obey(&mut self, order: &str) -> anyhow::Result<String> {
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
            _ => bail!("unknown order {order:?}"),
        }
    }
}

/// Connections opened and closed one after the other, until its end.
struct Watch {
    tally: Arc<Mutex<Tally>>,
    task: JoinHandle<()>,
}

impl Watch {
    fn start(target: Arc<str>) -> Self {
        let tally = Arc::new(Mutex::new(Tally::default()));
        let shared = tally.clone();
        let task = tokio::spawn(async move {
            let mut ticks = interval(WATCH_EVERY);
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

/// Connects and reads who answers.
async fn open(target: &str) -> anyhow::Result<(BufReader<TcpStream>, Greeting)> {
    let stream = timeout(PATIENCE, TcpStream::connect(target)).await.context("connecting hangs")??;
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    if timeout(PATIENCE, stream.read_line(&mut line)).await.context("the greeting does not come")?? == 0 {
        bail!("closed without a greeting");
    }
    Ok((stream, Greeting::parse(&line)?))
}
