//! Clients that load a system, and its imbalance.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context;
use ilb_testbed::{Backend, Behaviour, eventually};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    net::{TcpListener, TcpSocket, TcpStream},
    time::{Instant, sleep, sleep_until, timeout, timeout_at},
};

use crate::{
    contender::Contender,
    measurements::Measurement,
    scenario::{Client, Event, Scenario},
    system::System,
};

/// A system under load.
pub(crate) struct Load {
    system: System,
    scenario: &'static Scenario,
    /// Each backend listens at one address per replica.
    backends: Vec<Vec<Backend>>,
    swallowing: Vec<(TcpListener, Vec<TcpStream>)>,
    members: Vec<bool>,
}

/// The state that the clients of a system share.
struct Shared {
    /// Address that clients connect to, and the backends behind it.
    replicas: Vec<(SocketAddr, Vec<SocketAddr>)>,
    live: Mutex<Vec<i32>>,
    attempts: Mutex<Vec<Attempt>>,
    started: Instant,
}

/// An attempt of a client to connect.
#[derive(Clone, Copy)]
struct Attempt {
    /// Seconds since the start.
    at: f64,
    failed: bool,
}

/// Time limit for a connection to be opened.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Time between two samples of the imbalance, in seconds.
const SAMPLE_SECONDS: f64 = 0.1;
/// Time until health checks have found the backends.
const SETTLE_TIME: Duration = Duration::from_secs(3);

impl Load {
    pub(crate) async fn new(system: System, scenario: &'static Scenario) -> anyhow::Result<Self> {
        let mut backends = Vec::new();
        for index in 0..scenario.backends {
            backends.push(start_backend(&system, index).await?);
        }
        // A balancer that could not connect to them avoids them for a while: nginx for 10 s.
        for replica in &system.replicas {
            let reach = async || connect(replica.entry, &replica.backends).await.map(drop);
            eventually("a client reaches a backend", reach).await?;
        }
        let members = (0..scenario.backends).map(|i| i < scenario.initial).collect();
        Ok(Self { system, scenario, backends, swallowing: Vec::new(), members })
    }

    pub(crate) async fn run(mut self) -> anyhow::Result<(Contender, Measurement)> {
        let shared = Arc::new(Shared {
            replicas: self.system.replicas.iter().map(|r| (r.entry, r.backends.clone())).collect(),
            live: Mutex::new(vec![0; self.scenario.backends]),
            attempts: Mutex::default(),
            started: Instant::now() + SETTLE_TIME,
        });
        let clients = tokio::spawn(arrivals(Arc::clone(&shared), self.scenario));
        let mut events = self.scenario.events().into_iter().peekable();
        let mut series = Vec::new();
        let end = self.scenario.warm_up + self.scenario.length;
        let mut sample_at = SAMPLE_SECONDS;
        let mut before = None;
        while sample_at < end {
            if let Some((at, event)) = events.next_if(|(at, _)| *at <= sample_at) {
                shared.until(at).await;
                self.apply(event).await.with_context(|| format!("{event:?}"))?;
                continue;
            }
            shared.until(sample_at).await;
            if sample_at >= self.scenario.warm_up && before.is_none() {
                before = Some((self.system.pushes().await?, self.system.processor_seconds()?, Instant::now()));
            }
            series.push((sample_at, self.imbalance(&shared)));
            sample_at += SAMPLE_SECONDS;
        }
        let (pushes, processor, since) = before.context("the scenario has no time after its warm-up")?;
        let seconds = since.elapsed().as_secs_f64();
        let (pushes_now, processor_now) = (self.system.pushes().await?, self.system.processor_seconds()?);
        clients.abort();
        let per_minute = pushes.zip(pushes_now).map(|(a, b)| (b - a) / seconds * 60.0);
        let cpu = processor.zip(processor_now).map(|(a, b)| ((b.0 - a.0) / seconds, (b.1 - a.1) / seconds));
        let attempts = shared.attempts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let measurement = Measurement {
            series,
            from: self.scenario.warm_up,
            failures: attempts.iter().filter(|a| a.failed && a.at >= self.scenario.warm_up).count(),
            dead_share: self.dead_share(&attempts, 2.0),
            late_dead_share: self.dead_share(&attempts, 5.0),
            pushes_per_minute: per_minute,
            cpu: cpu.map(|(ilb, _)| ilb),
            traefik_cpu: cpu.map(|(_, traefik)| traefik),
        };
        Ok((self.system.contender, measurement))
    }

    /// Returns the share of attempts that failed, from `after` seconds after a backend has failed.
    #[allow(clippy::cast_precision_loss, reason = "there are thousands of attempts at most")]
    fn dead_share(&self, attempts: &[Attempt], after: f64) -> Option<f64> {
        let from = self.scenario.fails_at()? + after;
        let late: Vec<_> = attempts.iter().filter(|a| a.at >= from).collect();
        Some(late.iter().filter(|a| a.failed).count() as f64 / late.len().max(1) as f64)
    }

    async fn apply(&mut self, event: Event) -> anyhow::Result<()> {
        match event {
            Event::Join(i) => {
                self.members[i] = true;
                self.system.set_member(i, true).await?;
            }
            Event::Leave(i) => {
                self.members[i] = false;
                self.system.set_member(i, false).await?;
            }
            Event::Reset(i) => {
                self.backends[i].clear();
                self.backends[i] = start_backend(&self.system, i).await?;
            }
            Event::Refuse(i) => {
                self.members[i] = false;
                self.backends[i].clear();
            }
            Event::Swallow(i) => {
                self.members[i] = false;
                self.backends[i].clear();
                for replica in &self.system.replicas {
                    self.swallowing.push(swallow(replica.backends[i]).await?);
                }
            }
            Event::Reload => self.system.reload()?,
        }
        Ok(())
    }

    /// Returns (max - mean) / mean of the connections per share of capacity, over the backends that should get connections.
    fn imbalance(&self, shared: &Shared) -> f64 {
        let live = shared.live.lock().unwrap_or_else(PoisonError::into_inner);
        let members = live.iter().enumerate().filter(|(i, _)| self.members[*i]);
        let (mut connections, mut capacities, mut most) = (0.0, 0.0, 0.0_f64);
        for (i, count) in members {
            let capacity = f64::from(self.scenario.capacity(i));
            connections += f64::from(*count);
            capacities += capacity;
            most = most.max(f64::from(*count) / capacity);
        }
        let mean = connections / capacities;
        if mean > 0.0 { (most - mean) / mean } else { 0.0 }
    }
}

/// Starts backend `index` of the system, once its former process does not listen there any more.
async fn start_backend(system: &System, index: usize) -> anyhow::Result<Vec<Backend>> {
    let mut listening = Vec::new();
    for replica in &system.replicas {
        let start = async || Backend::start(replica.backends[index], Behaviour::Echo).await;
        listening.push(eventually("the backend listens", start).await?);
    }
    Ok(listening)
}

/// Creates a listener whose queue is full, so that the kernel drops every SYN.
async fn swallow(address: SocketAddr) -> anyhow::Result<(TcpListener, Vec<TcpStream>)> {
    let listener = eventually("the backend does not listen any more", async || {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(socket.listen(1)?)
    })
    .await?;
    let mut filling = Vec::new();
    while let Ok(Ok(stream)) = timeout(Duration::from_millis(100), TcpStream::connect(address)).await {
        filling.push(stream);
    }
    Ok((listener, filling))
}

async fn arrivals(shared: Arc<Shared>, scenario: &'static Scenario) {
    let mut clients = tokio::task::JoinSet::new();
    for client in scenario.clients() {
        shared.until(client.at).await;
        clients.spawn(stay(Arc::clone(&shared), client, scenario.slow));
        while clients.try_join_next().is_some() {}
    }
    while clients.join_next().await.is_some() {}
}

/// Runs a client. If its connection is cut it connects again within 0.2 s for the rest of its life; if that fails it gives
/// up.
async fn stay(shared: Arc<Shared>, client: Client, slow: f64) {
    let (entry, backends) = shared.replica_of(&client);
    let mut until = shared.moment(client.at + client.life);
    let mut first = true;
    while Instant::now() < until {
        let at = shared.started.elapsed().as_secs_f64();
        let landed = timeout(CONNECT_LIMIT, connect(*entry, backends)).await;
        let landed = landed.ok().and_then(Result::ok);
        shared.attempts.lock().unwrap_or_else(PoisonError::into_inner).push(Attempt { at, failed: landed.is_none() });
        let Some((mut stream, index)) = landed else { return };
        if std::mem::take(&mut first) && index == 0 {
            until = shared.moment(client.at + client.life * slow);
        }
        shared.add(index, 1);
        let cut = timeout_at(until, stream.read_u8()).await.is_ok();
        shared.add(index, -1);
        if cut {
            sleep(Duration::from_secs_f64(0.2 * client.life.fract())).await;
        }
    }
}

async fn connect(entry: SocketAddr, backends: &[SocketAddr]) -> anyhow::Result<(BufReader<TcpStream>, usize)> {
    let mut stream = BufReader::new(TcpStream::connect(entry).await?);
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let address: SocketAddr = line.trim().parse()?;
    Ok((stream, backends.iter().position(|b| *b == address).context("an unknown backend")?))
}

impl Shared {
    /// Returns the replica that a client uses, which depends on nothing else about the client.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the number is below 1 million")]
    fn replica_of(&self, client: &Client) -> &(SocketAddr, Vec<SocketAddr>) {
        &self.replicas[(client.life.fract() * 1e6) as usize % self.replicas.len()]
    }

    fn moment(&self, seconds: f64) -> Instant {
        self.started + Duration::from_secs_f64(seconds)
    }

    async fn until(&self, seconds: f64) {
        sleep_until(self.moment(seconds)).await;
    }

    fn add(&self, index: usize, by: i32) {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)[index] += by;
    }
}
