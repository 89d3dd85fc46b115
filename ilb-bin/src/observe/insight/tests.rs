//! The facts after events of a loop: readiness, pushes, changes.

use std::{
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use ilb_connections::{Ability, Load, Sample};
use ilb_controller::{ClosingFacts, ClosingResult, Desired, PoolInfo, PoolSpec};
use ilb_discovery::{Backend, BackendSet, Cause, PodRef, State, testing::FakeDiscovery};
use ilb_reconciler::{
    ClosingPolicy, Decision, LeastConnections, Method, Pacing, RoundRobin,
    closing::{ClosingState, Half, Order, Outlook},
    decision::{Evidence, Standing},
    least_connections::{Count, StandingChange},
    siblings::{Ignored, ReplicaId, Report},
};
use ilb_siblings::SiblingEvent;
use ilb_traefik_client::{Applied, Error, Revision, fleet::InstanceState};
use serde_json::{Value, json};
use tokio::time::advance;

use super::*;
use crate::{
    observe::metrics::{Format, Metrics},
    process::logging::DroppedLines,
};

pub(crate) mod closing;
mod identity;
mod limit;
mod sharing;
mod trouble;
mod zones;

/// Reports events of one pool as the loop would.
#[derive(Clone)]
pub(crate) struct Reporter {
    insight: Insight,
    spec: Arc<PoolSpec>,
    balancer: Arc<Mutex<LeastConnections>>,
    /// Source that the pool says that it has.
    pub(crate) source: FakeDiscovery,
}

impl Reporter {
    /// Reports that a pool was added.
    pub(crate) fn add(insight: &Insight, name: &str, entry_point: &str, method: Method) -> Self {
        Self::add_closing(insight, (name, entry_point, method), ClosingPolicy::default())
    }

    /// Reports that a pool whose connections may be closed was added.
    pub(crate) fn add_closing(insight: &Insight, about: (&str, &str, Method), closing: ClosingPolicy) -> Self {
        Self::add_with(insight, about, |pool| pool.closing = Arc::new(closing))
    }

    /// Reports that a pool was added about which more is known.
    fn add_with(
        insight: &Insight,
        (name, entry_point, method): (&str, &str, Method),
        more: impl FnOnce(&mut PoolInfo),
    ) -> Self {
        let spec = Arc::new(PoolSpec::new(name.parse().unwrap(), entry_point.parse().unwrap()));
        let balancer = Arc::new(Mutex::new(LeastConnections::new(Pacing::default())));
        let source = FakeDiscovery::default();
        let reporter = Self { insight: insight.clone(), spec: Arc::clone(&spec), balancer, source };
        let mut pool = PoolInfo::new(spec, method, Arc::new(reporter.source.clone()));
        more(&mut pool);
        reporter.report(&Event::PoolAdded { pool: &pool });
        reporter
    }

    /// Reports the state and the numbers of the closings.
    pub(crate) fn closing(&self, state: ClosingState, facts: ClosingFacts) {
        self.report(&Event::ClosingStateChanged { pool: &self.spec.name, state });
        self.report(&Event::ClosingsCounted { pool: &self.spec.name, facts: &facts });
    }

    /// Reports which connections the rules are about, in a plan.
    pub(crate) fn closings_planned(&self, outlook: &Outlook) {
        self.report(&Event::ClosingsPlanned { pool: &self.spec.name, outlook });
    }

    /// Reports the result of an order to end the half of a client's connection.
    pub(crate) fn half_closed(&self, half: &Half, result: &ClosingResult) {
        self.report(&Event::HalfClosed { half, result });
    }

    /// Reports the result of an order to close a connection.
    pub(crate) fn connection_closed(&self, order: &Order, result: &ClosingResult) {
        self.report(&Event::ConnectionClosed { pool: &self.spec.name, order, result });
    }

    pub(crate) fn closer(&self, ability: &Ability) {
        self.report(&Event::CloserChanged { ability });
    }

    fn report(&self, event: &Event<'_>) {
        self.insight.clone().on(event);
    }

    fn balancer(&self) -> std::sync::MutexGuard<'_, LeastConnections> {
        self.balancer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn desired(&self, decision: &Arc<Decision>, backends: &BackendSet) -> DesiredPools {
        let desired = Desired::new(Arc::clone(&self.spec), Arc::new(backends.ready()), Arc::clone(decision));
        [(self.spec.name.clone(), desired)].into()
    }

    pub(crate) fn removed(&self) {
        self.report(&Event::PoolRemoved { pool: &self.spec.name });
    }

    pub(crate) fn discovered(&self, set: &Arc<BackendSet>) {
        self.balancer().set_backends(set, std::time::Instant::now());
        self.report(&Event::Discovered { pool: &self.spec.name, set, previous: None, stale: None });
    }

    pub(crate) fn stale(&self, error: &ilb_discovery::Error) {
        self.report(&Event::DiscoveryStale { pool: &self.spec.name, error });
    }

    pub(crate) fn sampled(&self, sample: &Sample) {
        let mut balancer = self.balancer();
        let count = |(address, load): (_, Load)| {
            (address, Count { connections: load.connections(), opened: load.opened, oldest_opening: None })
        };
        balancer.sampled(sample.iter().map(count), Duration::ZERO, std::time::Instant::now());
        self.report(&Event::Sampled { pool: &self.spec.name, sample, balancer: &balancer });
    }

    pub(crate) fn uncounted(&self, reason: &str) {
        self.report(&Event::CountingImpossible { pool: &self.spec.name, reason });
    }

    pub(crate) fn standing_changed(&self, backend: SocketAddr, to: Standing, evidence: Option<Evidence>) {
        let change = StandingChange::new(backend, Standing::State(State::Ready), to, evidence);
        self.report(&Event::StandingChanged { pool: &self.spec.name, change: &change });
    }

    pub(crate) fn planned(&self, decision: &Arc<Decision>, backends: &BackendSet) {
        self.insight.planned(&self.desired(decision, backends));
    }

    pub(crate) fn push_started(&self, decision: &Arc<Decision>) {
        self.report(&Event::PushStarted { desired: &self.desired(decision, &BackendSet::empty()) });
    }

    pub(crate) fn pushed(&self, decision: &Arc<Decision>, backends: &BackendSet, applied: &Applied) {
        self.balancer().acknowledged(decision, applied.took, std::time::Instant::now());
        let (desired, previous) = (self.desired(decision, backends), DesiredPools::new());
        self.report(&Event::Pushed { desired: &desired, previous: &previous, applied });
    }

    pub(crate) fn push_failed(&self, error: &Error) {
        self.report(&Event::PushFailed { error });
    }

    pub(crate) fn proof_held(&self) {
        self.report(&Event::ProofHeld);
    }

    pub(crate) fn proof_lost(&self, error: &Error) {
        self.report(&Event::ProofLost { error });
    }

    pub(crate) fn alive(&self) {
        self.report(&Event::Alive);
    }

    /// Reports a push that puts all of these pools in force but those that `applied` names.
    pub(crate) fn pushed_with(&self, others: &[&Self], set: &BackendSet, applied: &Applied) {
        self.decision_pushed_with(&round_robin(set), others, set, applied);
    }

    pub(crate) fn decision_pushed_with(
        &self,
        decision: &Arc<Decision>,
        others: &[&Self],
        set: &BackendSet,
        applied: &Applied,
    ) {
        let mut desired = DesiredPools::new();
        for pool in [self].iter().chain(others) {
            desired.extend(pool.desired(decision, set));
        }
        self.report(&Event::PushStarted { desired: &desired });
        desired.retain(|name, _| !applied.faults.contains_key(name));
        self.report(&Event::Pushed { desired: &desired, previous: &DesiredPools::new(), applied });
    }

    pub(crate) fn rival(&self, there: bool) {
        self.report(if there { &Event::RivalFound } else { &Event::RivalGone });
    }

    /// Reports an event of the exchange with the siblings.
    pub(crate) fn sibling(&self, event: &SiblingEvent) {
        self.report(&Event::Sibling { event });
    }

    /// Lets the pool take part in the exchange, in which this sibling has just reported.
    pub(crate) fn shares_with(&self, sibling: ReplicaId) {
        let mut balancer = self.balancer();
        balancer.set_replica(ReplicaId::new(1));
        balancer.sibling_reported(Report::new(sibling, 1, Duration::ZERO, 0, []), std::time::Instant::now());
    }

    /// Reports that the report of a sibling was ignored.
    pub(crate) fn report_ignored(&self, replica: ReplicaId, cause: Ignored) {
        self.report(&Event::ReportIgnored { pool: &self.spec.name, replica, cause });
    }

    pub(crate) fn instance(&self, instance: &str, state: Option<&InstanceState>) {
        self.report(&Event::InstanceChanged { instance, state });
    }
}

/// Creates the facts of one pool, of which nothing is known yet.
pub(crate) fn insight() -> (Insight, Reporter) {
    let insight = Insight::new();
    let pool = Reporter::add(&insight, "default", "tcp", Method::LeastConnections);
    (insight, pool)
}

pub(crate) fn address(last: u8) -> std::net::SocketAddr {
    ([10, 0, 0, last], 5432).into()
}

pub(crate) fn set(states: &[State]) -> Arc<BackendSet> {
    Arc::new((1..).zip(states).map(|(last, state)| Backend::new(address(last), *state)).collect())
}

/// Returns a set of ready pods with these names, on node `n`.
pub(crate) fn pods(names: &[&str]) -> Arc<BackendSet> {
    let backend = |(last, name): (u8, &&str)| {
        let pod = PodRef::try_new("apps", name).unwrap().with_node("n");
        Backend::new(address(last), State::Ready).with_pod(Some(Arc::new(pod)))
    };
    Arc::new((1..).zip(names).map(backend).collect())
}

pub(crate) fn sample(established: &[u32]) -> Sample {
    let load = |count: &u32| {
        let mut load = Load::default();
        (load.established, load.opened) = (*count, 1);
        load
    };
    let sample: Sample = (1..).map(address).zip(established.iter().map(load)).collect();
    sample.with_method(ilb_connections::Method::NetlinkAnnouncements)
}

pub(crate) fn round_robin(set: &BackendSet) -> Arc<Decision> {
    RoundRobin::new().decide(set)
}

pub(crate) fn least_connections(set: &BackendSet, established: &[u32]) -> Arc<Decision> {
    let now = std::time::Instant::now();
    let mut balancer = LeastConnections::new(Pacing::default());
    balancer.set_backends(set, now);
    let count = |(address, load): (_, Load)| (address, Count { connections: load.connections(), ..Count::default() });
    balancer.sampled(sample(established).iter().map(count), Duration::ZERO, now);
    balancer.decide(now).decision.unwrap()
}

pub(crate) fn applied(process: &str) -> Applied {
    let revision = Revision::from(&ilb_traefik_client::Configuration::default());
    Applied::new(revision, process.into(), "3.7.15".into(), Duration::from_millis(5))
}

pub(crate) fn push(pool: &Reporter, decision: &Arc<Decision>, backends: &BackendSet, process: &str) {
    pool.push_started(decision);
    pool.pushed(decision, backends, &applied(process));
}

pub(crate) fn unreachable_traefik() -> Error {
    Error::unreachable("connection refused")
}

pub(crate) fn unreachable_api_server() -> ilb_discovery::Error {
    ilb_discovery::Error::Unreachable { source_name: "the API server".into(), cause: Cause::new(std::fmt::Error) }
}

pub(crate) fn status(insight: &Insight) -> Value {
    insight.read(|facts| serde_json::to_value(facts.status(usize::MAX, Instant::now())).unwrap())
}

fn degraded(insight: &Insight) -> Vec<String> {
    insight.read(|facts| facts.degraded(Instant::now()).into_iter().map(|reason| reason.text).collect())
}

fn not_ready(insight: &Insight) -> Vec<String> {
    insight.read(|facts| facts.not_ready(Instant::now()))
}

#[tokio::test(start_paused = true)]
async fn ready_is_what_is_proved_to_be_in_force() {
    let (insight, pool) = insight();
    assert_eq!(not_ready(&insight), ["pool default: its backends are not known yet"]);
    let backends = set(&[State::Ready]);
    pool.discovered(&backends);
    assert_eq!(not_ready(&insight), ["pool default: nothing has been pushed yet"]);
    let decision = round_robin(&backends);
    pool.push_started(&decision);
    assert_eq!(not_ready(&insight).len(), 1, "a push in flight proves nothing");
    pool.pushed(&decision, &backends, &applied("one"));
    assert!(not_ready(&insight).is_empty());
    pool.proof_lost(&Error::Restarted);
    assert_eq!(not_ready(&insight), ["pool default: Traefik restarted and has lost its configuration"]);
    push(&pool, &decision, &backends, "two");
    assert!(not_ready(&insight).is_empty());
    pool.push_failed(&unreachable_traefik());
    assert_eq!(not_ready(&insight), ["pool default: Traefik cannot be reached: connection refused"]);
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_is_added_later_does_not_make_those_in_force_unready() {
    let (insight, pool) = insight();
    let backends = set(&[State::Ready]);
    pool.discovered(&backends);
    push(&pool, &round_robin(&backends), &backends, "one");
    let later = Reporter::add(&insight, "later", "amqp", Method::RoundRobin);
    assert!(not_ready(&insight).is_empty());
    assert_eq!(degraded(&insight), ["pool later: its backends are not known yet"]);
    pool.proof_lost(&Error::Restarted);
    assert_eq!(not_ready(&insight).len(), 2, "without a proof no pool is ready");
    push(&pool, &round_robin(&backends), &backends, "two");
    push(&later, &round_robin(&backends), &backends, "two");
    assert!(not_ready(&insight).is_empty());

    pool.removed();
    later.removed();
    Reporter::add(&insight, "alone", "tcp", Method::RoundRobin);
    assert_eq!(not_ready(&insight), ["pool alone: its backends are not known yet"]);
}

#[tokio::test(start_paused = true)]
async fn a_proof_that_is_not_repeated_expires() {
    let (insight, pool) = insight();
    pool.discovered(&set(&[]));
    push(&pool, &round_robin(&set(&[])), &set(&[]), "one");
    advance(Duration::from_secs(14)).await;
    pool.proof_held();
    advance(Duration::from_secs(14)).await;
    assert!(not_ready(&insight).is_empty());
    advance(Duration::from_secs(2)).await;
    assert_eq!(not_ready(&insight), ["pool default: the configuration was last verified more than 15 s ago"]);
}

#[tokio::test(start_paused = true)]
async fn a_stale_view_and_no_backend_are_no_reasons_not_to_be_ready() {
    let (insight, pool) = insight();
    pool.discovered(&set(&[]));
    push(&pool, &round_robin(&set(&[])), &set(&[]), "one");
    pool.stale(&unreachable_api_server());
    assert!(not_ready(&insight).is_empty());
    advance(Duration::from_secs(3)).await;
    let discovery = &status(&insight)["pools"][0]["discovery"];
    assert_eq!(discovery["state"], "stale");
    assert_eq!(discovery["problem"]["for_seconds"], 3.0);
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_is_changed_stays_ready_with_what_is_in_force_until_its_backends_are_known() {
    let (insight, pool) = insight();
    let set = set(&[State::Ready]);
    pool.discovered(&set);
    push(&pool, &round_robin(&set), &set, "one");
    Reporter::add(&insight, "default", "tcp", Method::RoundRobin);
    assert!(not_ready(&insight).is_empty());
    Reporter::add(&insight, "default", "other", Method::RoundRobin);
    assert_eq!(
        not_ready(&insight),
        ["pool default: its backends are not known yet"],
        "nothing is in force on that entry point"
    );
}

#[tokio::test(start_paused = true)]
async fn alive_is_a_loop_that_runs() {
    let (insight, pool) = insight();
    let alive = || insight.read(|facts| facts.is_alive(Instant::now()));
    advance(Duration::from_secs(14)).await;
    pool.alive();
    advance(Duration::from_secs(14)).await;
    assert!(alive());
    advance(Duration::from_secs(2)).await;
    assert!(!alive());
}

#[tokio::test(start_paused = true)]
async fn a_change_is_timed_from_its_discovery_to_its_proof_over_failures() {
    let (insight, pool) = insight();
    let backends = set(&[State::Ready]);
    pool.discovered(&backends);
    advance(Duration::from_secs(2)).await;
    pool.push_started(&round_robin(&backends));
    pool.push_failed(&unreachable_traefik());
    advance(Duration::from_secs(1)).await;
    push(&pool, &round_robin(&backends), &backends, "one");
    pool.discovered(&set(&[State::Ready, State::NotReady])); // changes nothing that is pushed
    advance(Duration::from_secs(500)).await;
    push(&pool, &round_robin(&backends), &backends, "one");
    let text = Metrics::new(insight, DroppedLines::default()).text(Format::OpenMetrics).unwrap();
    for line in ["ilb_pool_change_to_in_force_seconds_sum{pool=\"default\"} 3.0", "_count{pool=\"default\"} 1"] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn pushes_are_remembered_with_reason_and_result_and_failures_in_a_row_as_one() {
    let (insight, pool) = insight();
    let backends = set(&[State::Ready]);
    pool.discovered(&backends);
    let decision = round_robin(&backends);
    push(&pool, &decision, &backends, "one");
    for _ in 0..50 {
        pool.push_started(&decision);
        pool.push_failed(&unreachable_traefik());
    }
    push(&pool, &decision, &backends, "two");
    let traefik = &status(&insight)["traefik"];
    let pushes: Vec<_> = traefik["pushes"].as_array().unwrap().iter().map(|p| (&p["reason"], &p["result"])).collect();
    let (repair, first) = (json!("repair"), json!("backends"));
    let (in_force, failed) = (json!("in force"), json!("failed"));
    assert_eq!(pushes, [(&repair, &in_force), (&repair, &failed), (&first, &in_force)]);
    assert_eq!(traefik["restarts_seen"], 1);
    assert_eq!(traefik["push_state"], "idle");
}

#[tokio::test(start_paused = true)]
async fn the_push_state_changes_with_failures_and_repetitions() {
    let (insight, pool) = insight();
    let state = || status(&insight)["traefik"]["push_state"].clone();
    let backends = set(&[State::Ready]);
    let decision = round_robin(&backends);
    pool.discovered(&backends);
    pool.push_started(&decision);
    assert_eq!(state(), "idle", "nothing has failed");
    pool.push_failed(&unreachable_traefik());
    assert_eq!(state(), "waiting");
    pool.push_started(&decision);
    assert_eq!(state(), "retrying");
    pool.pushed(&decision, &backends, &applied("one"));
    assert_eq!(state(), "idle");
    pool.proof_lost(&Error::Restarted);
    assert_eq!(state(), "waiting");
}

#[tokio::test(start_paused = true)]
async fn subscribers_are_woken_by_changes_and_not_by_routine() {
    let (insight, pool) = insight();
    let mut changes = insight.subscribe();
    changes.mark_unchanged();
    pool.alive();
    pool.proof_held();
    pool.sampled(&sample(&[1]));
    assert!(!changes.has_changed().unwrap());
    pool.discovered(&set(&[State::Ready]));
    assert!(changes.has_changed().unwrap());
}
