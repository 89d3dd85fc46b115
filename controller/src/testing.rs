//! Sources and sinks that the tests of this crate script.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{FutureExt, StreamExt, stream, stream::BoxStream};
use ilb_connections::{ConnectionSource, Load, ProbeError, Probed, Sample};
use ilb_discovery::{Backend, BackendSet, Discovery, State};
use ilb_reconciler::least_connections::ProbeResult;
use ilb_traefik_client::{Applied, Configuration, Error, Member, MockConfigSink, Name, Revision, model::TcpService};
use tokio::sync::{Notify, mpsc};

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

#[async_trait]
impl ConnectionSource for Counts {
    async fn sample(&self, _backends: &BTreeSet<SocketAddr>) -> Result<Sample, ilb_connections::Error> {
        if self.lock().counting_hangs {
            std::future::pending::<()>().await;
        }
        let state = self.lock();
        if state.counting_fails { Err(ilb_connections::Error::Cancelled) } else { Ok(sample(&state.established)) }
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
    }
}
