//! The facts, fed with the events of a loop.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use ilb_connections::{Load, Sample};
use ilb_controller::{Desired, PoolInfo, PoolSpec};
use ilb_discovery::{Backend, BackendSet, Cause, State, testing::FakeDiscovery};
use ilb_reconciler::{
    Decision, LeastConnections, Method, Pacing, RoundRobin,
    least_connections::{Count, ProbeResult},
};
use ilb_traefik_client::{Applied, Error, Revision};
use serde_json::{Value, json};
use tokio::time::advance;

use super::*;

/// The events of one pool, as the loop would report them.
#[derive(Clone)]
pub(crate) struct Reporter {
    insight: Insight,
    spec: Arc<PoolSpec>,
    balancer: Arc<Mutex<LeastConnections>>,
}

impl Reporter {
    /// Reports that a pool is followed from now on.
    pub(crate) fn add(insight: &Insight, name: &str, entry_point: &str, method: Method) -> Self {
        let spec = Arc::new(PoolSpec::new(name.parse().unwrap(), entry_point.parse().unwrap()));
        let balancer = Arc::new(Mutex::new(LeastConnections::new(Pacing::default())));
        let reporter = Self { insight: insight.clone(), spec: Arc::clone(&spec), balancer };
        let pool = PoolInfo::new(spec, method, Arc::new(FakeDiscovery::default()));
        reporter.report(&Event::PoolAdded { pool: &pool });
        reporter
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

    pub(crate) fn found(&self, set: &Arc<BackendSet>) {
        self.balancer().set_backends(set, std::time::Instant::now());
        self.report(&Event::Discovered { pool: &self.spec.name, set, previous: None });
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

    pub(crate) fn decided(&self, decision: &Arc<Decision>) {
        self.report(&Event::Decided { pool: &self.spec.name, decision });
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

    pub(crate) fn proved(&self) {
        self.report(&Event::ProofHeld);
    }

    pub(crate) fn lost(&self, error: &Error) {
        self.report(&Event::ProofLost { error });
    }

    pub(crate) fn alive(&self) {
        self.report(&Event::Alive);
    }
}

/// An ilb with one pool, of which nothing is known yet.
fn insight() -> (Insight, Reporter) {
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

pub(crate) fn sample(established: &[u32]) -> Sample {
    let load = |count: &u32| {
        let mut load = Load::default();
        (load.established, load.opened) = (*count, 1);
        load
    };
    (1..).map(address).zip(established.iter().map(load)).collect()
}

pub(crate) fn round_robin(set: &BackendSet) -> Arc<Decision> {
    RoundRobin::new().decide(set)
}

fn least_connections(set: &BackendSet, established: &[u32]) -> Arc<Decision> {
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

fn away() -> Error {
    Error::unreachable("connection refused")
}

fn status(insight: &Insight) -> Value {
    insight.look(|facts| serde_json::to_value(facts.status(usize::MAX, Instant::now())).unwrap())
}

fn not_ready(insight: &Insight) -> Vec<String> {
    insight.look(|facts| facts.not_ready(Instant::now()))
}

#[tokio::test(start_paused = true)]
async fn ready_is_what_is_proved_to_be_in_force() {
    let (insight, pool) = insight();
    assert_eq!(not_ready(&insight), ["pool default: its backends are not known yet"]);
    let backends = set(&[State::Ready]);
    pool.found(&backends);
    assert_eq!(not_ready(&insight), ["pool default: nothing has been pushed yet"]);
    let choice = round_robin(&backends);
    pool.push_started(&choice);
    assert_eq!(not_ready(&insight).len(), 1, "a push that has begun proves nothing");
    pool.pushed(&choice, &backends, &applied("one"));
    assert!(not_ready(&insight).is_empty());
    pool.lost(&Error::Restarted);
    assert_eq!(not_ready(&insight), ["pool default: Traefik restarted and has lost its configuration"]);
    push(&pool, &choice, &backends, "two");
    assert!(not_ready(&insight).is_empty());
    pool.push_failed(&away());
    assert_eq!(not_ready(&insight), ["pool default: Traefik cannot be reached: connection refused"]);
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_is_added_later_does_not_make_those_in_force_unready() {
    let (insight, pool) = insight();
    let backends = set(&[State::Ready]);
    pool.found(&backends);
    push(&pool, &round_robin(&backends), &backends, "one");
    let later = Reporter::add(&insight, "later", "amqp", Method::RoundRobin);
    assert!(not_ready(&insight).is_empty());
    pool.lost(&Error::Restarted);
    assert_eq!(not_ready(&insight).len(), 2, "a Traefik that serves nobody is everybody's business");
    push(&pool, &round_robin(&backends), &backends, "two");
    push(&later, &round_robin(&backends), &backends, "two");
    assert!(not_ready(&insight).is_empty());

    pool.removed();
    later.removed();
    Reporter::add(&insight, "alone", "tcp", Method::RoundRobin);
    assert_eq!(not_ready(&insight), ["pool alone: its backends are not known yet"]);
}

#[tokio::test(start_paused = true)]
async fn a_proof_that_is_not_repeated_does_not_hold_for_ever() {
    let (insight, pool) = insight();
    pool.found(&set(&[]));
    push(&pool, &round_robin(&set(&[])), &set(&[]), "one");
    advance(Duration::from_secs(14)).await;
    pool.proved();
    advance(Duration::from_secs(14)).await;
    assert!(not_ready(&insight).is_empty());
    advance(Duration::from_secs(2)).await;
    assert_eq!(not_ready(&insight), ["pool default: the last proof is more than 15 s old"]);
}

#[tokio::test(start_paused = true)]
async fn a_stale_view_and_no_backend_are_no_reasons_not_to_be_ready() {
    let (insight, pool) = insight();
    pool.found(&set(&[]));
    push(&pool, &round_robin(&set(&[])), &set(&[]), "one");
    pool.stale(&unreachable());
    assert!(not_ready(&insight).is_empty());
    advance(Duration::from_secs(3)).await;
    let discovery = &status(&insight)["pools"][0]["discovery"];
    assert_eq!(discovery["state"], "stale");
    assert_eq!(discovery["problem"]["for_seconds"], 3.0);
}

#[tokio::test(start_paused = true)]
async fn each_pool_has_to_be_in_force() {
    let (insight, pool) = insight();
    let other = Reporter::add(&insight, "other", "tcp2", Method::RoundRobin);
    pool.found(&set(&[State::Ready]));
    push(&pool, &round_robin(&set(&[State::Ready])), &set(&[State::Ready]), "one");
    assert_eq!(not_ready(&insight), ["pool other: its backends are not known yet"]);
    other.found(&set(&[]));
    assert_eq!(not_ready(&insight), ["pool other: it has not been pushed yet"]);
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_is_changed_stays_ready_with_what_is_in_force_until_it_knows_better() {
    let (insight, pool) = insight();
    let set = set(&[State::Ready]);
    pool.found(&set);
    push(&pool, &round_robin(&set), &set, "one");
    Reporter::add(&insight, "default", "tcp", Method::RoundRobin);
    assert!(not_ready(&insight).is_empty());
    Reporter::add(&insight, "default", "other", Method::RoundRobin);
    assert_eq!(not_ready(&insight), ["pool default: its backends are not known yet"], "nothing serves that yet");
}

#[tokio::test(start_paused = true)]
async fn alive_is_a_loop_that_comes_round() {
    let (insight, pool) = insight();
    let alive = || insight.look(|facts| facts.is_alive(Instant::now()));
    advance(Duration::from_secs(14)).await;
    pool.alive();
    advance(Duration::from_secs(14)).await;
    assert!(alive());
    advance(Duration::from_secs(2)).await;
    assert!(!alive());
}

#[tokio::test(start_paused = true)]
async fn a_backend_shows_its_state_its_connections_its_weight_and_why() {
    let (insight, pool) = insight();
    let backends = set(&[State::Ready, State::Ready, State::Draining, State::NotReady]);
    pool.found(&backends);
    pool.sampled(&sample(&[7, 4, 9]));
    push(&pool, &least_connections(&backends, &[7, 4, 9]), &backends, "one");
    let status = status(&insight);
    let shown = |field: &str| -> Vec<Value> {
        status["pools"][0]["backends"].as_array().unwrap().iter().map(|backend| backend[field].clone()).collect()
    };
    assert_eq!(shown("state"), ["ready", "ready", "draining", "not ready"]);
    assert_eq!(shown("established"), [7, 4, 9, 0]);
    assert_eq!(shown("head_start"), [json!(0), json!(3), Value::Null, Value::Null]);
    assert_eq!(
        shown("why"),
        [
            "level with the fullest: takes its turn",
            "less full: the next 3 come here",
            "leaving: only old connections",
            "cannot serve: only old connections"
        ]
    );
    let ratio = status["pools"][0]["imbalance"]["ratio"].as_f64().unwrap();
    assert!((ratio - 1.5 / 5.5).abs() < 1e-9, "the draining one has no part in it: {ratio}");
}

#[tokio::test(start_paused = true)]
async fn a_head_start_is_used_up_by_the_connections_that_come() {
    let (insight, pool) = insight();
    let backends = set(&[State::Ready, State::Ready]);
    pool.found(&backends);
    pool.sampled(&sample(&[7, 4])); // one is born on each
    push(&pool, &least_connections(&backends, &[7, 4]), &backends, "one");
    let head_start = || status(&insight)["pools"][0]["backends"][1]["head_start"].clone();
    assert_eq!(head_start(), 3);
    pool.sampled(&sample(&[7, 5]));
    assert_eq!(head_start(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_suspect_is_shown_at_once_also_while_a_plan_without_it_cannot_be_pushed() {
    let (insight, pool) = insight();
    let backends = set(&[State::Ready; 3]);
    pool.found(&backends);
    let (now, mut balancer) = (std::time::Instant::now(), LeastConnections::new(Pacing::default()));
    let mut counted = |established: [u32; 3], at: Duration, silent: Option<u8>| {
        let count = |connections: u32| Count { connections, ..Count::default() };
        let counts = (1..).map(address).zip(established.map(count));
        balancer.set_backends(&backends, now + at);
        balancer.sampled(counts, Duration::ZERO, now + at);
        let decision = balancer.decide(now + at).decision.unwrap();
        balancer.acknowledged(&decision, Duration::ZERO, now + at);
        if let Some(backend) = silent {
            balancer.probed(address(backend), ProbeResult::Unanswered, now + at);
        }
        balancer.decide(now + at).decision.unwrap()
    };
    push(&pool, &counted([20, 20, 20], Duration::ZERO, None), &backends, "one");
    pool.push_failed(&away());
    pool.decided(&counted([20, 0, 20], Duration::from_millis(60), Some(2)));
    let shown = &status(&insight)["pools"][0]["backends"][1]["state"];
    assert_eq!(shown, "suspect");
}

#[tokio::test(start_paused = true)]
async fn where_nobody_counts_nothing_is_invented() {
    let (insight, pool) = insight();
    let backends = set(&[State::Ready]);
    pool.found(&backends);
    push(&pool, &least_connections(&backends, &[1]), &backends, "one");
    pool.sampled(&sample(&[1]));
    pool.uncounted("forbidden");
    let status = status(&insight);
    let backend = &status["pools"][0]["backends"][0];
    for field in ["established", "opening", "born", "gone", "rtt_seconds", "retransmits", "head_start"] {
        assert_eq!(backend[field], Value::Null, "{field}");
    }
    assert_eq!(backend["why"], "takes its turn: nobody can count");
    assert_eq!(status["pools"][0]["counting"]["state"], "impossible");
}

#[tokio::test(start_paused = true)]
async fn a_change_is_timed_from_its_discovery_to_its_proof_over_failures() {
    let (insight, pool) = insight();
    let backends = set(&[State::Ready]);
    pool.found(&backends);
    advance(Duration::from_secs(2)).await;
    pool.push_started(&round_robin(&backends));
    pool.push_failed(&away());
    advance(Duration::from_secs(1)).await;
    push(&pool, &round_robin(&backends), &backends, "one");
    pool.found(&set(&[State::Ready, State::NotReady])); // changes nothing that is pushed
    advance(Duration::from_secs(500)).await;
    push(&pool, &round_robin(&backends), &backends, "one");
    let text = crate::observe::metrics::Metrics::of(insight).text().unwrap();
    for line in ["ilb_pool_change_to_in_force_seconds_sum{pool=\"default\"} 3.0", "_count{pool=\"default\"} 1"] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn pushes_are_remembered_with_reason_and_result_and_failures_in_a_row_as_one() {
    let (insight, pool) = insight();
    let backends = set(&[State::Ready]);
    pool.found(&backends);
    let decision = round_robin(&backends);
    push(&pool, &decision, &backends, "one");
    for _ in 0..50 {
        pool.push_started(&decision);
        pool.push_failed(&away());
    }
    push(&pool, &decision, &backends, "two");
    let traefik = &status(&insight)["traefik"];
    let pushes: Vec<_> = traefik["pushes"].as_array().unwrap().iter().map(|p| (&p["reason"], &p["result"])).collect();
    let (repair, first) = (json!("repair"), json!("backends"));
    let (in_force, failed) = (json!("in force"), json!("failed"));
    assert_eq!(pushes, [(&repair, &in_force), (&repair, &failed), (&first, &in_force)]);
    assert_eq!(traefik["restarts_seen"], 1);
    assert_eq!(traefik["circuit"], "closed");
}

#[tokio::test(start_paused = true)]
async fn news_is_told_and_routine_is_not() {
    let (insight, pool) = insight();
    let mut news = insight.follow();
    news.mark_unchanged();
    pool.alive();
    pool.proved();
    pool.sampled(&sample(&[1]));
    assert!(!news.has_changed().unwrap());
    pool.found(&set(&[State::Ready]));
    assert!(news.has_changed().unwrap());
}

#[test]
fn the_published_schema_is_that_of_the_status() {
    let schema: Value = serde_json::from_str(include_str!("../../../../docs/status.schema.json")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let status = runtime.block_on(async {
        let (insight, pool) = insight();
        let backends = set(&[State::Ready]);
        pool.found(&backends);
        pool.sampled(&sample(&[1]));
        push(&pool, &least_connections(&backends, &[1]), &backends, "one");
        pool.push_started(&round_robin(&backends));
        pool.push_failed(&away());
        pool.stale(&unreachable());
        status(&insight)
    });
    assert_eq!(described_differently(&schema, &schema, &status, ""), Vec::<String>::new());
}

fn unreachable() -> ilb_discovery::Error {
    ilb_discovery::Error::Unreachable { source_name: "the API server".into(), cause: Cause::new(std::fmt::Error) }
}

/// Where the schema and the value differ in the fields that there are, or in their types.
fn described_differently(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(name) = schema["$ref"].as_str().and_then(|r| r.strip_prefix("#/$defs/")) {
        return described_differently(root, &root["$defs"][name], value, at);
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        let tried = choices.iter().map(|choice| described_differently(root, choice, value, at));
        return tried.min_by_key(Vec::len).unwrap_or_default();
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let allowed = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        several => several.as_array().into_iter().flatten().filter_map(Value::as_str).collect(),
    };
    let is_allowed = |allowed: &&str| *allowed == kind || (*allowed == "integer" && value.is_u64());
    let mut differences = Vec::new();
    if !allowed.iter().any(is_allowed) {
        differences.push(format!("{at} is {kind}, not {allowed:?}"));
    }
    if let Some(choices) = schema["enum"].as_array().filter(|choices| !choices.contains(value)) {
        differences.push(format!("{at} is {value}, not one of {choices:?}"));
    }
    match value {
        Value::Array(items) => {
            let of_each = |item| described_differently(root, &schema["items"], item, &format!("{at}[]"));
            differences.extend(items.iter().flat_map(of_each));
        }
        Value::Object(fields) => {
            let described = schema["properties"].as_object().cloned().unwrap_or_default();
            let missing = described.keys().filter(|name| !fields.contains_key(*name));
            differences.extend(missing.map(|name| format!("{at}.{name} is described and is not there")));
            for (name, field) in fields {
                match described.get(name) {
                    None => differences.push(format!("{at}.{name} is not described")),
                    Some(part) => differences.extend(described_differently(root, part, field, &format!("{at}.{name}"))),
                }
            }
        }
        _ => {}
    }
    differences
}
