//! A system under load, and its imbalance.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use ilb_benches::neighbourhood;
use ilb_testbed::{Void, eventually};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    time::{Instant, timeout},
};

use crate::{
    another_namespace::AnotherNamespace,
    backend::Backend,
    clients::{Attempt, Clients, reach},
    contender::Contender,
    failure::Failing,
    measurements::{CountingCost, FailedShares, Measurement},
    plan::PlanFollower,
    scenario::{Event, Scenario},
    system::System,
};

/// A system under load.
pub(crate) struct Load {
    system: System,
    scenario: &'static Scenario,
    /// Number of the schedule of clients.
    schedule: u64,
    /// Each backend listens at each address by which replicas reach it.
    backends: Vec<Vec<Backend>>,
    swallowing: Vec<(TcpListener, Vec<TcpStream>)>,
    void: Option<Void>,
    another_namespace: Option<AnotherNamespace>,
    /// Processor seconds of counting and of the whole ilb, with the moments at which they were taken.
    processor_times: Vec<(Instant, f64, f64)>,
    members: Vec<bool>,
}

/// Time between two samples of the imbalance, in seconds.
const SAMPLE_SECONDS: f64 = 0.1;
/// Time until health checks have found the backends.
const SETTLE_TIME: Duration = Duration::from_secs(3);

impl Load {
    pub(crate) async fn new(system: System, scenario: &'static Scenario, schedule: u64) -> anyhow::Result<Self> {
        let mut backends = Vec::new();
        for index in 0..scenario.backends {
            backends.push(start_backend(&system, index).await?);
        }
        // A balancer that could not connect to them avoids them for a while: nginx for 10 s.
        for replica in &system.replicas {
            let reach = async || reach(replica.entry, &replica.backends).await.map(drop);
            eventually("a client reaches a backend", reach).await?;
        }
        let void = if scenario.loses_nodes() { Some(Void::new()?) } else { None };
        let members = (0..scenario.backends).map(|i| i < scenario.initial).collect();
        Ok(Self {
            system,
            scenario,
            schedule,
            backends,
            swallowing: Vec::new(),
            void,
            another_namespace: None,
            processor_times: Vec::new(),
            members,
        })
    }

    pub(crate) async fn run(mut self) -> anyhow::Result<(Contender, Measurement)> {
        let start = Instant::now() + SETTLE_TIME;
        let clients = Arc::new(Clients::new(self.system.routes(), self.scenario.backends, start));
        let plan = self.follow_plan();
        let arrivals = neighbourhood::runtime()?.spawn(Arc::clone(&clients).run(self.scenario, self.schedule));
        let mut events = self.scenario.events().into_iter().peekable();
        let mut series = Vec::new();
        let end = self.scenario.warm_up + self.scenario.length;
        let mut sample_at = SAMPLE_SECONDS;
        let (mut before, mut failed_at) = (None, None);
        while sample_at < end {
            if let Some((at, event)) = events.next_if(|(at, _)| *at <= sample_at) {
                clients.until(at).await;
                if event.is_failure() {
                    failed_at = Some(clients.now());
                }
                self.apply(event).await.with_context(|| format!("{event:?}"))?;
                clients.set_routes(self.system.routes());
                // A replica takes some time to start. Nothing was seen meanwhile.
                while sample_at < clients.now() {
                    sample_at += SAMPLE_SECONDS;
                }
                continue;
            }
            clients.until(sample_at).await;
            if sample_at >= self.scenario.warm_up && before.is_none() {
                before = Some((self.system.pushes().await?, self.system.processor_seconds()?, Instant::now()));
            }
            series.push((sample_at, self.imbalance(&clients.live())));
            sample_at += SAMPLE_SECONDS;
        }
        let (pushes, processor, since) = before.context("the scenario has no time after its warm-up")?;
        let seconds = since.elapsed().as_secs_f64();
        let (pushes_now, processor_now) = (self.system.pushes().await?, self.system.processor_seconds()?);
        clients.until_answered().await;
        arrivals.abort();
        let plan = match plan {
            Some(follower) => Some(follower.finish().await?),
            None => None,
        };
        let per_minute = pushes.zip(pushes_now).map(|(a, b)| (b - a) / seconds * 60.0);
        let cpu = processor.zip(processor_now).map(|(a, b)| ((b.0 - a.0) / seconds, (b.1 - a.1) / seconds));
        let attempts = clients.attempts();
        let measurement = Measurement {
            series,
            from: self.scenario.warm_up,
            failures: attempts.iter().filter(|a| a.failed && a.at >= self.scenario.warm_up).count(),
            failed: failed_at.map(|at| failed_shares(&attempts, at)),
            pushes_per_minute: per_minute,
            cpu: cpu.map(|(ilb, _)| ilb),
            traefik_cpu: cpu.map(|(_, traefik)| traefik),
            plan,
            counting: self.counting_cost(),
            ..Measurement::default()
        };
        Ok((self.system.contender, measurement))
    }

    /// Begins to follow the plan of ilb, where backends fail.
    fn follow_plan(&self) -> Option<PlanFollower> {
        let failing = self.scenario.failing()?;
        let (traefik, backends) = self.system.plan()?;
        let works = |(index, backend): (usize, &SocketAddr)| (!failing.indexes().contains(&index)).then_some(*backend);
        Some(PlanFollower::new(traefik, backends.iter().enumerate().filter_map(works).collect()))
    }

    /// Returns the cost of counting in the first period, and in the last one with the other namespace full.
    fn counting_cost(&self) -> Option<CountingCost> {
        let [a, b, c, d] = self.processor_times.as_slice() else { return None };
        let cores = |(from, counting, all): &(Instant, f64, f64), (to, counting_now, all_now): &(Instant, f64, f64)| {
            let seconds = to.duration_since(*from).as_secs_f64();
            ((counting_now - counting) / seconds, (all_now - all) / seconds)
        };
        let ((counting, ilb), (counting_beside_sockets, ilb_beside_sockets)) = (cores(a, b), cores(c, d));
        Some(CountingCost { counting, counting_beside_sockets, ilb, ilb_beside_sockets })
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
            Event::Fail(failing) => self.fail(failing)?,
            Event::TakeProcessorTime => {
                let (counting, ilb) = self.system.counting_seconds().await?;
                self.processor_times.push((Instant::now(), counting, ilb));
            }
            Event::ReplaceReplicas => self.system.replace_replicas().await?,
            Event::AddReplica => self.system.add_replica().await?,
            Event::CutOffReplica => self.system.cut_off_replica()?,
            Event::FillAnotherNamespace => self.another_namespace = Some(AnotherNamespace::fill().await?),
        }
        Ok(())
    }

    fn fail(&mut self, failing: Failing) -> anyhow::Result<()> {
        if let Some(void) = &self.void {
            let ips = |i: usize| self.system.replicas.iter().map(move |replica| replica.backends[i].ip());
            void.swallow(failing.indexes().flat_map(ips))?;
        }
        for i in failing.indexes() {
            self.members[i] = false;
            self.backends[i].iter().for_each(|backend| backend.fail(failing.how));
        }
        Ok(())
    }

    /// Returns (max - mean) / mean of the connections per share of capacity, over the backends that should get connections.
    fn imbalance(&self, live: &[i32]) -> f64 {
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
    let addresses: BTreeSet<_> = system.replicas.iter().map(|replica| replica.backends[index]).collect();
    for address in addresses {
        let start = async || Backend::start(address).await;
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

/// Returns the shares of attempts that failed, for backends that began to fail `at` that moment.
#[allow(clippy::cast_precision_loss, reason = "there are thousands of attempts at most")]
fn failed_shares(attempts: &[Attempt], at: f64) -> FailedShares {
    let share_from = |after: f64| {
        let late: Vec<_> = attempts.iter().filter(|attempt| attempt.at >= at + after).collect();
        late.iter().filter(|attempt| attempt.failed).count() as f64 / late.len().max(1) as f64
    };
    FailedShares {
        from_2s: share_from(2.0),
        from_3s: share_from(3.0),
        from_5s: share_from(5.0),
        from_10s: share_from(10.0),
    }
}
