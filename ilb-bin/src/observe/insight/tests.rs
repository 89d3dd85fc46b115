use ilb_connections::Load;
use ilb_discovery::{Backend, Cause, State};
use ilb_reconciler::{Count, LeastConnections, Pacing, Plan};
use ilb_traefik_client::{Error, Revision};
use serde_json::{Value, json};
use tokio::time::advance;

use super::*;

/// An ilb with one pool, of which nothing is known yet.
fn insight() -> (Insight, PoolInsight) {
    let insight = Insight::new();
    let pool = insight.pool(&"default".parse().unwrap(), &"tcp".parse().unwrap(), "leastconn", None);
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
        (load.established, load.born) = (*count, 1);
        load
    };
    (1..).map(address).zip(established.iter().map(load)).collect()
}

pub(crate) fn round_robin(set: &BackendSet) -> Choice {
    Choice::RoundRobin(Arc::new(Plan::round_robin(set)))
}

fn least_connections(set: &BackendSet, established: &[u32]) -> Choice {
    let now = std::time::Instant::now();
    let mut balancer = LeastConnections::new(Pacing::default());
    balancer.backends(set, now);
    let count = |(address, load): (_, Load)| (address, Count { connections: load.connections(), ..Count::default() });
    balancer.sample(sample(established).iter().map(count), Duration::ZERO, now);
    Choice::LeastConnections(balancer.decide(now).decision.unwrap())
}

pub(crate) fn applied(process: &str) -> Applied {
    let revision = Revision::of(&ilb_traefik_client::Configuration::default());
    Applied::new(revision, process.into(), "3.7.15".into(), Duration::from_millis(5))
}

pub(crate) fn push(pool: &PoolInsight, choice: &Choice, backends: &BackendSet, process: &str) {
    pool.push_begun(choice);
    pool.pushed(choice, &backends.ready(), &applied(process));
}

/// What happens to Traefik, for an ilb with this pool alone.
impl PoolInsight {
    pub(crate) fn push_begun(&self, choice: &Choice) {
        self.facts.push_begun(std::iter::once(Part { pool: &self.pool, choice, backends: &BackendSet::empty() }));
    }

    pub(crate) fn pushed(&self, choice: &Choice, backends: &BackendSet, applied: &Applied) {
        self.facts.pushed(std::iter::once(Part { pool: &self.pool, choice, backends }), applied);
    }

    pub(crate) fn push_failed(&self, error: &Error) {
        self.facts.push_failed(error);
    }

    pub(crate) fn proved(&self) {
        self.facts.proved();
    }

    pub(crate) fn lost(&self, error: &Error) {
        self.facts.lost(error);
    }

    pub(crate) fn alive(&self) {
        self.facts.alive();
    }
}

fn away() -> Error {
    Error::Unreachable("connection refused".into())
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
    pool.push_begun(&choice);
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
    let later = insight.pool(&"later".parse().unwrap(), &"amqp".parse().unwrap(), "roundrobin", None);
    assert!(not_ready(&insight).is_empty());
    pool.lost(&Error::Restarted);
    assert_eq!(not_ready(&insight).len(), 2, "a Traefik that serves nobody is everybody's business");
    push(&pool, &round_robin(&backends), &backends, "two");
    push(&later, &round_robin(&backends), &backends, "two");
    assert!(not_ready(&insight).is_empty());

    insight.forget(&"default".parse().unwrap());
    insight.forget(&"later".parse().unwrap());
    insight.pool(&"alone".parse().unwrap(), &"tcp".parse().unwrap(), "roundrobin", None);
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
    let other = insight.pool(&"other".parse().unwrap(), &"tcp2".parse().unwrap(), "roundrobin", None);
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
    let (name, entry_point) = ("default".parse().unwrap(), "tcp".parse().unwrap());
    insight.pool(&name, &entry_point, "roundrobin", None);
    assert!(not_ready(&insight).is_empty());
    insight.pool(&name, &"other".parse().unwrap(), "roundrobin", None);
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
    pool.push_begun(&round_robin(&backends));
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
    push(&pool, &round_robin(&backends), &backends, "one");
    for _ in 0..50 {
        pool.push_begun(&round_robin(&backends));
        pool.push_failed(&away());
    }
    push(&pool, &round_robin(&backends), &backends, "two");
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
        pool.push_begun(&round_robin(&backends));
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
