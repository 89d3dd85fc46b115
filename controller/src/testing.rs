//! Sources and sinks that the tests of this crate script.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{FutureExt, StreamExt, stream, stream::BoxStream};
use ilb_connections::{Connection, ConnectionSource, EndedBy, Ending, Load, ProbeError, Probed, Sample};
use ilb_discovery::{Backend, BackendSet, Discovery, State};
use ilb_reconciler::least_connections::ProbeResult;
use ilb_traefik_client::{Applied, Configuration, Error, Member, MockConfigSink, Name, Revision, model::TcpService};
use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};

use crate::{counting::Counter, event::Event, policy::Policy, pool::Pool, spec::PoolSpec};

/// Item that discovery publishes: a set, or an error.
pub(crate) type Published = Result<Arc<BackendSet>, ilb_discovery::Error>;

/// A discovery that publishes the items that a test sends.
struct Channel(Mutex<Option<mpsc::Receiver<Published>>>);

#[async_trait]
impl Discovery for Channel {
    async fn list(&self) -> Published {
        Err(ilb_discovery::Error::Failed { source_name: "the test".into(), cause: cause() })
    }

    fn watch(&self) -> BoxStream<'static, Published> {
        let receiver = self.0.lock().unwrap().take().expect("a pool watches its source only once");
        stream::unfold(receiver, |mut receiver| async { Some((receiver.recv().await?, receiver)) }).boxed()
    }
}

pub(crate) fn cause() -> ilb_discovery::Cause {
    ilb_discovery::Cause::new(std::io::Error::other("scripted"))
}

/// Creates a pool, and the sender by which the test publishes its sets.
pub(crate) fn pool(name: &str, entry_point: &str, policy: Policy) -> (Pool, mpsc::Sender<Published>) {
    let (sets, receiver) = mpsc::channel(8);
    let spec = PoolSpec::new(name.parse().unwrap(), entry_point.parse().unwrap());
    (Pool::new(spec, Channel(Mutex::new(Some(receiver)))).with_policy(policy), sets)
}

pub(crate) fn address(last: u8) -> SocketAddr {
    ([10, 0, 0, last], 3333).into()
}

/// Returns a set of this many ready backends, and two that take no connections.
pub(crate) fn set(ready: u8) -> Arc<BackendSet> {
    let others = [Backend::new(address(200), State::NotReady), Backend::new(address(201), State::Draining)];
    Arc::new((0..ready).map(|last| Backend::new(address(last), State::Ready)).chain(others).collect())
}

/// Scripts the counts and probes of least connections.
#[derive(Clone, Default)]
pub(crate) struct Counts(Arc<Mutex<CountsState>>, Arc<Notify>);

#[derive(Default)]
struct CountsState {
    established: Vec<u32>,
    /// The backend of each connection by its cookie, if they are to be described: they are counted instead.
    live: BTreeMap<u64, SocketAddr>,
    /// Moments at which connections were first seen; those that are missing were an hour ago.
    first_seen: BTreeMap<u64, std::time::Instant>,
    /// Connections that were opened and closed since the last sample, by backend.
    moved: BTreeMap<SocketAddr, (u32, u32)>,
    /// Ends since the last sample: the kernel shows those that a closer causes as the backend's.
    endings: Vec<Ending>,
    last_cookie: u64,
    counting_fails: bool,
    counting_hangs: bool,
    probes: Option<ProbeResult>,
}

impl Counts {
    /// Sets the connections of the backends for the next samples.
    pub(crate) fn set(&self, established: &[u32]) {
        let mut state = self.lock();
        (state.established, state.counting_fails) = (established.to_vec(), false);
    }

    /// Opens this many connections to each backend, which are described from now on: answered, and an hour old.
    pub(crate) fn connect(&self, connections: &[u32]) {
        let mut state = self.lock();
        for (backend, connections) in (0..).map(address).zip(connections) {
            (0..*connections).for_each(|_| state.open(backend));
        }
    }

    /// Opens connections to a backend, which are described as new.
    pub(crate) fn open(&self, backend: SocketAddr, connections: u32) {
        let mut state = self.lock();
        for _ in 0..connections {
            state.open(backend);
            let cookie = state.last_cookie;
            state.first_seen.insert(cookie, Instant::now().into_std());
        }
    }

    /// Ends a connection, whose client connects to the least loaded of these backends instead, if there is one.
    pub(crate) fn end(&self, cookie: u64, others: impl IntoIterator<Item = SocketAddr>) -> bool {
        let mut state = self.lock();
        let Some(backend) = state.live.remove(&cookie) else { return false };
        state.moved.entry(backend).or_default().1 += 1;
        let ending = Ending::new(backend, Duration::from_secs(3_600), 1, EndedBy::Backend);
        state.endings.push(ending.with_cookie(cookie));
        let counts = state.counts();
        let emptiest = others.into_iter().min_by_key(|other| counts.get(other).copied().unwrap_or(0));
        if let Some(other) = emptiest {
            state.open(other);
        }
        true
    }

    /// Returns the connections of each backend.
    pub(crate) fn by_backend(&self) -> BTreeMap<SocketAddr, u32> {
        self.lock().counts()
    }

    /// Returns the cookie of the connection that was opened last.
    pub(crate) fn last_cookie(&self) -> u64 {
        self.lock().last_cookie
    }

    /// Makes the next samples fail.
    pub(crate) fn fail(&self) {
        self.lock().counting_fails = true;
    }

    /// Makes the next samples never end.
    pub(crate) fn hang(&self) {
        self.lock().counting_hangs = true;
    }

    /// Sets the result of the next probes. Without this call they are answered.
    pub(crate) fn set_probes(&self, result: ProbeResult) {
        self.lock().probes = Some(result);
    }

    /// Lets the end of a connection be heard.
    pub(crate) fn end_connection(&self) {
        self.1.notify_one();
    }

    pub(crate) fn counter(&self) -> Counter {
        let counts = self.clone();
        let probe = move |_, _| std::future::ready(outcome(counts.lock().probes)).boxed();
        Counter::new(Arc::new(self.clone()), Box::new(probe))
    }

    fn lock(&self) -> MutexGuard<'_, CountsState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CountsState {
    fn open(&mut self, backend: SocketAddr) {
        self.last_cookie += 1;
        self.live.insert(self.last_cookie, backend);
        self.moved.entry(backend).or_default().0 += 1;
    }

    fn counts(&self) -> BTreeMap<SocketAddr, u32> {
        let mut counts = BTreeMap::new();
        for backend in self.live.values() {
            *counts.entry(*backend).or_default() += 1;
        }
        counts
    }

    /// Returns a sample of the described connections.
    fn take(&mut self, backends: &BTreeSet<SocketAddr>) -> Sample {
        let (counts, moved) = (self.counts(), std::mem::take(&mut self.moved));
        let load = |backend: &SocketAddr| {
            let (opened, closed) = moved.get(backend).copied().unwrap_or_default();
            let mut load = Load::default();
            (load.established, load.opened, load.closed) = (counts.get(backend).copied().unwrap_or(0), opened, closed);
            (*backend, load)
        };
        backends.iter().map(load).collect::<Sample>().with_endings(std::mem::take(&mut self.endings))
    }
}

#[async_trait]
impl ConnectionSource for Counts {
    async fn sample(&self, backends: &BTreeSet<SocketAddr>) -> Result<Sample, ilb_connections::Error> {
        if self.lock().counting_hangs {
            std::future::pending::<()>().await;
        }
        let mut state = self.lock();
        if !state.live.is_empty() && !state.counting_fails {
            return Ok(state.take(backends));
        }
        if state.counting_fails { Err(ilb_connections::Error::Cancelled) } else { Ok(sample(&state.established)) }
    }

    async fn connections(&self, backends: &BTreeSet<SocketAddr>) -> Result<Vec<Connection>, ilb_connections::Error> {
        let state = self.lock();
        let an_hour_ago = Instant::now().into_std().checked_sub(Duration::from_secs(3600)).unwrap();
        let connection = |(cookie, backend): (&u64, &SocketAddr)| {
            let first_seen = state.first_seen.get(cookie).copied().unwrap_or(an_hour_ago);
            let mut one = Connection::new(*cookie, ([10, 0, 9, 9], 1024).into(), *backend, first_seen);
            one.quiet = Duration::from_secs(60);
            one
        };
        Ok(state.live.iter().filter(|(_, backend)| backends.contains(backend)).map(connection).collect())
    }

    async fn ended(&self) {
        self.1.notified().await;
    }
}

fn outcome(result: Option<ProbeResult>) -> Result<Probed, ProbeError> {
    let error = || std::io::Error::other("scripted");
    match result {
        None | Some(ProbeResult::Answered) => Ok(Probed::new(Duration::ZERO, false)),
        Some(ProbeResult::Closed) => Ok(Probed::new(Duration::ZERO, true)),
        Some(ProbeResult::Unanswered) => Err(ProbeError::Backend(error())),
        Some(ProbeResult::NotMade) => Err(ProbeError::Local(error())),
    }
}

pub(crate) fn sample(established: &[u32]) -> Sample {
    let load = |count: &u32| {
        let mut load = Load::default();
        load.established = *count;
        load
    };
    (0..).map(address).zip(established.iter().map(load)).collect()
}

/// Push that a [`Script`] received.
#[derive(Debug)]
pub(crate) struct Push {
    pub(crate) at: tokio::time::Instant,
    pub(crate) configuration: Configuration,
}

impl Push {
    /// Returns how many servers each pool has, by name.
    pub(crate) fn members(&self) -> Vec<(String, usize)> {
        let services = &self.configuration.tcp.services;
        let members = |name: &Name| match services.get(name.as_str()) {
            Some(TcpService::Weighted(weighted)) => weighted.services.len(),
            _ => 0,
        };
        let routers = self.configuration.tcp.routers.keys();
        routers.map(|name| (name.to_string(), members(name))).collect::<BTreeMap<_, _>>().into_iter().collect()
    }

    /// Returns how many servers all pools have.
    pub(crate) fn backends(&self) -> usize {
        self.members().iter().map(|(_, members)| members).sum()
    }
}

/// Pools that a Traefik has in force.
pub(crate) type PoolsInForce = BTreeMap<Name, Vec<Member>>;

/// Errors with which Traefik answers the next calls. When none is left, every call succeeds.
#[derive(Default)]
pub(crate) struct Script {
    pub(crate) applies: Mutex<VecDeque<Error>>,
    pub(crate) proofs: Mutex<VecDeque<Error>>,
    /// Answers to the question which pools are in force. When none is left, there are none.
    pub(crate) in_force: Mutex<VecDeque<Result<PoolsInForce, Error>>>,
    /// Faults of each push that succeeds.
    pub(crate) faults: Mutex<BTreeMap<Name, Error>>,
}

impl Script {
    /// Creates a script in which the next pushes fail with these errors.
    pub(crate) fn failing(applies: impl IntoIterator<Item = Error>) -> Arc<Self> {
        Arc::new(Self { applies: Mutex::new(applies.into_iter().collect()), ..Self::default() })
    }

    /// Returns a sink that plays this script, and a receiver of its pushes.
    pub(crate) fn sink(self: &Arc<Self>) -> (MockConfigSink, mpsc::UnboundedReceiver<Push>) {
        let (sender, pushed) = mpsc::unbounded_channel();
        let mut sink = MockConfigSink::new();
        let script = Arc::clone(self);
        sink.expect_apply().returning(move |configuration| {
            let at = tokio::time::Instant::now();
            let _ = sender.send(Push { at, configuration: configuration.clone() });
            if let Some(error) = next(&script.applies) {
                return Err(error);
            }
            let mut applied = applied(configuration);
            applied.faults = script.faults.lock().unwrap_or_else(PoisonError::into_inner).clone();
            Ok(applied)
        });
        let script = Arc::clone(self);
        sink.expect_verify().returning(move |_| next(&script.proofs).map_or(Ok(()), Err));
        let script = Arc::clone(self);
        sink.expect_pools_in_force().returning(move || next(&script.in_force).unwrap_or(Ok(BTreeMap::new())));
        (sink, pushed)
    }

    /// Makes each push that succeeds have this fault.
    pub(crate) fn refuse(&self, pool: &str, error: Error) {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).insert(pool.parse().unwrap(), error);
    }
}

fn next<T>(answers: &Mutex<VecDeque<T>>) -> Option<T> {
    answers.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

pub(crate) fn applied(configuration: &Configuration) -> Applied {
    Applied::new(Revision::from(configuration), "then".into(), "3.7.15".into(), Duration::ZERO)
}

/// Returns the error of a Traefik that does not run.
pub(crate) fn away() -> Error {
    Error::unreachable("connection refused")
}

/// Returns the name of an event.
pub(crate) fn name_of(event: &Event<'_>) -> &'static str {
    match event {
        Event::Alive => "Alive",
        Event::PoolAdded { .. } => "PoolAdded",
        Event::PoolRemoved { .. } => "PoolRemoved",
        Event::Discovered { .. } => "Discovered",
        Event::DiscoveryStale { .. } => "DiscoveryStale",
        Event::Sampled { .. } => "Sampled",
        Event::CountingFailed { .. } => "CountingFailed",
        Event::CountingImpossible { .. } => "CountingImpossible",
        Event::BackendsShared { .. } => "BackendsShared",
        Event::StandingChanged { .. } => "StandingChanged",
        Event::Probed { .. } => "Probed",
        Event::Decided { .. } => "Decided",
        Event::BackendsInherited { .. } => "BackendsInherited",
        Event::PushStarted { .. } => "PushStarted",
        Event::Pushed { .. } => "Pushed",
        Event::PushFailed { .. } => "PushFailed",
        Event::ProofHeld => "ProofHeld",
        Event::ProofLost { .. } => "ProofLost",
        Event::RivalFound => "RivalFound",
        Event::RivalGone => "RivalGone",
        Event::InstanceChanged { .. } => "InstanceChanged",
        Event::Sibling { .. } => "Sibling",
        Event::ReportIgnored { .. } => "ReportIgnored",
        Event::DescribingFailed { .. } => "DescribingFailed",
        Event::ClosingsPlanned { .. } => "ClosingsPlanned",
        Event::ClosingsBegan { .. } => "ClosingsBegan",
        Event::ClosingsEnded { .. } => "ClosingsEnded",
        Event::ClosingStateChanged { .. } => "ClosingStateChanged",
        Event::ClosingsCounted { .. } => "ClosingsCounted",
        Event::ConnectionClosed { .. } => "ConnectionClosed",
        Event::HalfClosed { .. } => "HalfClosed",
        Event::ListingHalvesFailed { .. } => "ListingHalvesFailed",
        Event::CloserChanged { .. } => "CloserChanged",
    }
}
