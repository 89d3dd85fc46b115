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
    figures::Figure,
    scenario::{Client, Event, Scenario},
    system::{Kind, System},
};

/// One system under load.
pub(crate) struct Load {
    system: System,
    scenario: &'static Scenario,
    /// Each at its addresses, of which it has one per replica.
    backends: Vec<Vec<Backend>>,
    swallowing: Vec<(TcpListener, Vec<TcpStream>)>,
    members: Vec<bool>,
}

/// What the clients of one system see.
struct Seen {
    /// Where clients connect to, and what they may find there.
    replicas: Vec<(SocketAddr, Vec<SocketAddr>)>,
    live: Mutex<Vec<i32>>,
    attempts: Mutex<Vec<Attempt>>,
    started: Instant,
}

/// One attempt of a client, in seconds since the start.
#[derive(Clone, Copy)]
struct Attempt {
    at: f64,
    failed: bool,
}

const PATIENCE: Duration = Duration::from_secs(5);
const LOOK: f64 = 0.1;
/// Health checks have found the backends by then.
const SETTLE: Duration = Duration::from_secs(3);

impl Load {
    pub(crate) async fn new(system: System, scenario: &'static Scenario) -> anyhow::Result<Self> {
        let mut backends = Vec::new();
        for index in 0..scenario.backends {
            backends.push(start_backend(&system, index).await?);
        }
        // A balancer that has found them away leaves them alone for a while: nginx for 10 s.
        for replica in &system.replicas {
            let reach = async || connect(replica.entry, &replica.backends).await.map(drop);
            eventually("a client reaches a backend", reach).await?;
        }
        let members = (0..scenario.backends).map(|i| i < scenario.initial).collect();
        Ok(Self { system, scenario, backends, swallowing: Vec::new(), members })
    }

    pub(crate) async fn run(mut self) -> anyhow::Result<(Kind, Figure)> {
        let seen = Arc::new(Seen {
            replicas: self.system.replicas.iter().map(|r| (r.entry, r.backends.clone())).collect(),
            live: Mutex::new(vec![0; self.scenario.backends]),
            attempts: Mutex::default(),
            started: Instant::now() + SETTLE,
        });
        let clients = tokio::spawn(arrivals(Arc::clone(&seen), self.scenario));
        let mut events = self.scenario.events().into_iter().peekable();
        let mut series = Vec::new();
        let end = self.scenario.warm_up + self.scenario.length;
        let mut look = LOOK;
        let mut before = None;
        while look < end {
            if let Some((at, event)) = events.next_if(|(at, _)| *at <= look) {
                seen.until(at).await;
                self.happen(event).await.with_context(|| format!("{event:?}"))?;
                continue;
            }
            seen.until(look).await;
            if look >= self.scenario.warm_up && before.is_none() {
                before = Some((self.system.pushes().await?, self.system.processor_seconds()?, Instant::now()));
            }
            series.push((look, self.imbalance(&seen)));
            look += LOOK;
        }
        let (pushes, processor, since) = before.context("no time was measured")?;
        let seconds = since.elapsed().as_secs_f64();
        let (pushes_now, processor_now) = (self.system.pushes().await?, self.system.processor_seconds()?);
        clients.abort();
        let per_minute = pushes.zip(pushes_now).map(|(a, b)| (b - a) / seconds * 60.0);
        let cpu = processor.zip(processor_now).map(|(a, b)| ((b.0 - a.0) / seconds, (b.1 - a.1) / seconds));
        let attempts = seen.attempts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let figure = Figure {
            series,
            from: self.scenario.warm_up,
            failures: attempts.iter().filter(|a| a.failed && a.at >= self.scenario.warm_up).count(),
            dead_share: self.dead_share(&attempts, 2.0),
            late_dead_share: self.dead_share(&attempts, 5.0),
            pushes_per_minute: per_minute,
            cpu: cpu.map(|(ilb, _)| ilb),
            traefik_cpu: cpu.map(|(_, traefik)| traefik),
        };
        Ok((self.system.kind, figure))
    }

    /// The share of attempts that failed from this many seconds after a backend has failed.
    #[allow(clippy::cast_precision_loss)]
    fn dead_share(&self, attempts: &[Attempt], after: f64) -> Option<f64> {
        let from = self.scenario.fails_at()? + after;
        let late: Vec<_> = attempts.iter().filter(|a| a.at >= from).collect();
        Some(late.iter().filter(|a| a.failed).count() as f64 / late.len().max(1) as f64)
    }

    async fn happen(&mut self, event: Event) -> anyhow::Result<()> {
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

    /// (max - mean) / mean of the connections per share of capacity, over the backends that should get connections.
    fn imbalance(&self, seen: &Seen) -> f64 {
        let live = seen.live.lock().unwrap_or_else(PoisonError::into_inner);
        let members = live.iter().enumerate().filter(|(i, _)| self.members[*i]);
        let (mut connections, mut shares, mut most) = (0.0, 0.0, 0.0_f64);
        for (i, count) in members {
            let capacity = f64::from(self.scenario.capacity(i));
            connections += f64::from(*count);
            shares += capacity;
            most = most.max(f64::from(*count) / capacity);
        }
        let mean = connections / shares;
        if mean > 0.0 { (most - mean) / mean } else { 0.0 }
    }
}

/// Backend `index` of the system, once nobody else listens there any more.
async fn start_backend(system: &System, index: usize) -> anyhow::Result<Vec<Backend>> {
    let mut listening = Vec::new();
    for replica in &system.replicas {
        let start = async || Backend::start(replica.backends[index], Behaviour::Echo).await;
        listening.push(eventually("the backend listens", start).await?);
    }
    Ok(listening)
}

/// A listener whose queue is full, so that the kernel drops every SYN.
async fn swallow(address: SocketAddr) -> anyhow::Result<(TcpListener, Vec<TcpStream>)> {
    let listener = eventually("the backend is gone", async || {
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

async fn arrivals(seen: Arc<Seen>, scenario: &'static Scenario) {
    let mut clients = tokio::task::JoinSet::new();
    for client in scenario.clients() {
        seen.until(client.at).await;
        clients.spawn(stay(Arc::clone(&seen), client, scenario.slow));
        while clients.try_join_next().is_some() {}
    }
    while clients.join_next().await.is_some() {}
}

/// A client's life. If its connection is cut it comes back within 0.2 s for the rest of it; if none is to be had it gives up.
async fn stay(seen: Arc<Seen>, client: Client, slow: f64) {
    let (entry, backends) = seen.replica_of(&client);
    let mut until = seen.moment(client.at + client.life);
    let mut first = true;
    while Instant::now() < until {
        let at = seen.started.elapsed().as_secs_f64();
        let landed = timeout(PATIENCE, connect(*entry, backends)).await;
        let landed = landed.ok().and_then(Result::ok);
        seen.attempts.lock().unwrap_or_else(PoisonError::into_inner).push(Attempt { at, failed: landed.is_none() });
        let Some((mut stream, index)) = landed else { return };
        if std::mem::take(&mut first) && index == 0 {
            until = seen.moment(client.at + client.life * slow);
        }
        seen.add(index, 1);
        let cut = timeout_at(until, stream.read_u8()).await.is_ok();
        seen.add(index, -1);
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

impl Seen {
    /// The replica that a client uses. Which one says nothing about the client.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // of a number below 1 million
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
