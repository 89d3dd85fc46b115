//! Trouble with one pool, one Traefik or another writer: who is ready, and what is degraded.

use super::*;

fn missing_entry_point() -> Error {
    Error::EntryPointMissing { missing: vec!["nope".to_owned()], known: vec!["tcp".to_owned()] }
}

/// Returns the proof of a push of which this pool is no part.
fn refusing(pool: &str) -> Applied {
    let mut applied = applied("one");
    applied.faults.insert(pool.parse().unwrap(), missing_entry_point());
    applied
}

/// Returns the proof of a Traefik at this address.
fn at(address: &str, process: &str) -> Applied {
    let mut applied = applied(process);
    applied.instance = Some(address.to_owned());
    applied
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_traefik_does_not_take_is_degraded_and_the_others_are_ready() {
    let (insight, pool) = insight();
    let other = Reporter::add(&insight, "other", "nope", Method::RoundRobin);
    let backends = set(&[State::Ready]);
    pool.discovered(&backends);
    other.discovered(&backends);
    pool.pushed_with(&[&other], &backends, &refusing("other"));
    assert!(not_ready(&insight).is_empty());
    assert_eq!(degraded(&insight), ["pool other: Traefik has no entry point nope: it has tcp"]);
    let shown = status(&insight);
    assert_eq!((&shown["pools"][0]["in_force"], &shown["pools"][1]["in_force"]), (&json!(true), &json!(false)));
    assert!(shown["summary"]["text"].as_str().unwrap().starts_with("degraded: pool other: "), "{shown}");
    assert_eq!(shown["traefik"]["pushes"][0]["result"], "partly");
    let text = Metrics::new(insight.clone(), DroppedLines::default()).text(Format::OpenMetrics).unwrap();
    for line in [
        "ilb_pool_in_force{pool=\"default\"} 1",
        "ilb_pool_in_force{pool=\"other\"} 0",
        "ilb_pool_degraded{pool=\"other\",reason=\"entry point missing\"} 1",
        "ilb_traefik_in_force 1",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }

    pool.pushed_with(&[&other], &backends, &applied("one"));
    assert!(degraded(&insight).is_empty());
}

#[tokio::test(start_paused = true)]
async fn pools_of_which_traefik_takes_none_are_not_ready_each_with_its_reason() {
    let (insight, pool) = insight();
    let other = Reporter::add(&insight, "other", "nope", Method::RoundRobin);
    let backends = set(&[State::Ready]);
    pool.discovered(&backends);
    other.discovered(&backends);
    let faults = ["default", "other"].map(|name| (name.parse().unwrap(), missing_entry_point()));
    pool.push_failed(&Error::NoneInForce { faults: faults.into() });
    let missing = missing_entry_point();
    assert_eq!(not_ready(&insight), [format!("pool default: {missing}"), format!("pool other: {missing}")]);
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_is_tried_again_is_no_reason_for_a_push() {
    let (insight, pool) = insight();
    let other = Reporter::add(&insight, "other", "nope", Method::RoundRobin);
    let (backends, decision) = (set(&[State::Ready]), round_robin(&set(&[State::Ready])));
    for _ in 0..2 {
        pool.decision_pushed_with(&decision, &[&other], &backends, &refusing("other"));
    }
    let pushes = &status(&insight)["traefik"]["pushes"];
    assert_eq!((&pushes[1]["reason"], &pushes[0]["reason"]), (&json!("backends"), &json!("repair")));
}

#[tokio::test(start_paused = true)]
async fn the_start_waits_for_a_pool_no_longer_than_the_first_push() {
    let (insight, pool) = insight();
    Reporter::add(&insight, "other", "amqp", Method::RoundRobin);
    pool.discovered(&set(&[State::Ready]));
    let not_started = || insight.read(|facts| facts.not_started(Instant::now()));
    assert_eq!(not_started(), ["pool other: its backends are not known yet"]);
    advance(ilb_controller::Controller::MAX_FIRST_PUSH_DELAY).await;
    assert!(not_started().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_pool_with_the_backends_of_an_earlier_process_is_in_force_and_degraded() {
    let (insight, pool) = insight();
    push(&pool, &round_robin(&set(&[State::Ready])), &set(&[State::Ready]), "one");
    assert!(not_ready(&insight).is_empty());
    assert_eq!(degraded(&insight), ["pool default: its backends are not known yet: Traefik keeps those that it has"]);
}

#[tokio::test(start_paused = true)]
async fn a_view_that_is_stale_in_part_stays_so_while_another_part_changes() {
    let (insight, pool) = insight();
    let (backends, error) = (set(&[State::Ready]), unreachable_api_server());
    let staleness = || insight.read(|facts| facts.pools.values().map(|p| p.staleness(Instant::now())).max());
    pool.stale(&error);
    for _ in 0..3 {
        advance(Duration::from_secs(60)).await;
        pool.report(&Event::Discovered { pool: &pool.spec.name, set: &backends, previous: None, stale: Some(&error) });
        pool.stale(&error);
    }
    assert_eq!(staleness(), Some(Duration::from_secs(180)));
    pool.discovered(&backends);
    assert_eq!(staleness(), Some(Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn what_hurts_clients_of_a_pool_in_force_is_listed() {
    let (insight, pool) = insight();
    pool.discovered(&set(&[State::NotReady]));
    push(&pool, &round_robin(&set(&[])), &set(&[]), "one");
    pool.stale(&unreachable_api_server());
    pool.uncounted("forbidden");
    insight.reloaded(Reload::Refused);
    let expected = [
        "pool default: some or all of its backends are not updated: unreachable",
        "pool default: no backend is ready: new connections are closed at once until one is",
        "pool default: round robin instead of least connections: forbidden",
        "settings: the changed file was refused: the previous settings stay in effect",
    ];
    assert_eq!(degraded(&insight), expected);
    assert!(not_ready(&insight).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_pool_without_a_ready_backend_is_never_green() {
    let (insight, pool) = insight();
    let other = Reporter::add(&insight, "other", "amqp", Method::RoundRobin);
    let backends = set(&[State::Ready]);
    for states in [&[][..], &[State::NotReady], &[State::Draining]] {
        pool.discovered(&set(states));
        other.discovered(&backends);
        pool.pushed_with(&[&other], &set(&[]), &applied("one"));
        let shown = status(&insight);
        assert_eq!((&shown["ready"], &shown["level"]), (&json!(true), &json!("degraded")));
        assert_eq!(shown["summary"]["severity"], "error", "new clients are not served");
        let of_pools = [0, 1].map(|n| (shown["pools"][n]["level"].clone(), shown["pools"][n]["severity"].clone()));
        assert_eq!(of_pools, [(json!("degraded"), json!("error")), (json!("ready"), json!("ok"))]);
    }
    let text = Metrics::new(insight.clone(), DroppedLines::default()).text(Format::OpenMetrics).unwrap();
    for line in [
        "ilb_level{level=\"degraded\"} 1",
        "ilb_level{level=\"ready\"} 0",
        "ilb_pool_degraded{pool=\"default\",reason=\"no backend\"} 1",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    pool.discovered(&backends);
    assert_eq!(status(&insight)["level"], "ready");
}

#[tokio::test(start_paused = true)]
async fn a_cold_start_is_no_failure_until_it_takes_too_long() {
    let (insight, pool) = insight();
    let seen = || {
        let shown = status(&insight);
        let severities = [&shown["summary"]["severity"], &shown["traefik"]["summary"]["severity"]].map(Clone::clone);
        (shown["level"].clone(), shown["pools"][0]["level"].clone(), severities)
    };
    let starting = (json!("starting"), json!("starting"), [json!("warning"), json!("warning")]);
    let failed = (json!("not ready"), json!("not ready"), [json!("error"), json!("error")]);
    assert_eq!(seen(), starting);
    advance(Duration::from_secs(9)).await; // the kubelet starts Traefik when the backends are known
    pool.discovered(&set(&[State::Ready]));
    pool.push_failed(&unreachable_traefik());
    advance(Duration::from_secs(9)).await;
    assert_eq!(seen(), starting);
    advance(Duration::from_secs(2)).await;
    assert_eq!(seen(), failed);
    push(&pool, &round_robin(&set(&[State::Ready])), &set(&[State::Ready]), "one");
    assert_eq!(status(&insight)["level"], "ready");
    pool.push_failed(&unreachable_traefik());
    assert_eq!(seen(), failed, "a Traefik that was there is not starting");
}

#[tokio::test(start_paused = true)]
async fn an_error_that_time_alone_does_not_end_is_a_failure_at_once() {
    let (insight, pool) = insight();
    pool.discovered(&set(&[State::Ready]));
    pool.push_failed(&unreachable_traefik());
    assert_eq!(status(&insight)["level"], "starting");
    pool.push_failed(&missing_entry_point());
    assert_eq!(status(&insight)["level"], "not ready");
}

#[tokio::test(start_paused = true)]
async fn suspect_and_failing_backends_make_a_pool_degraded_and_it_is_said_when_there_are_no_others() {
    let (insight, pool) = insight();
    let backends = set(&[State::Ready; 3]);
    pool.discovered(&backends);
    push(&pool, &least_connections(&backends, &[1, 1, 1]), &backends, "one");
    pool.sampled(&sample(&[1, 1, 1]));
    pool.standing_changed(address(1), Standing::Suspect, Some(Evidence::NoAnswer));
    pool.standing_changed(address(2), Standing::Failing, Some(Evidence::ClosedProbe));
    let expected = [
        "pool default: no answer from 1 backend: no new connections until there is one",
        "pool default: connections to 1 backend end early: few new ones until that stops",
    ];
    assert_eq!(degraded(&insight), expected);
    pool.standing_changed(address(3), Standing::Failing, Some(Evidence::ClosedProbe));
    let expected = [
        "pool default: no backend works: new connections go to those that are suspect or failing",
        "pool default: no answer from 1 backend",
        "pool default: connections to 2 backends end early",
    ];
    assert_eq!(degraded(&insight), expected);
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_replaces_another_suspects_nobody_yet() {
    let (insight, pool) = insight();
    let backends = set(&[State::Ready; 2]);
    pool.discovered(&backends);
    push(&pool, &least_connections(&backends, &[1, 1]), &backends, "one");
    pool.standing_changed(address(1), Standing::Failing, Some(Evidence::ClosedProbe));
    let again = Reporter::add(&insight, "default", "tcp", Method::LeastConnections);
    again.discovered(&backends);
    assert_eq!(status(&insight)["pools"][0]["count"]["failing"], 0, "its balancer starts without suspicions");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_ready_while_another_program_replaces_the_configuration() {
    let (insight, pool) = insight();
    let backends = set(&[State::Ready]);
    pool.discovered(&backends);
    push(&pool, &round_robin(&backends), &backends, "one");
    pool.rival(true);
    let reason = "pool default: another program keeps replacing the configuration of this Traefik";
    assert_eq!(not_ready(&insight), [reason]);
    assert_eq!(status(&insight)["traefik"]["summary"]["text"], "Another program writes to this Traefik");
    pool.rival(false);
    assert!(not_ready(&insight).is_empty());
}

#[tokio::test(start_paused = true)]
async fn each_instance_of_a_fleet_has_its_state() {
    let (insight, pool) = insight();
    let backends = set(&[State::Ready]);
    pool.discovered(&backends);
    push(&pool, &round_robin(&backends), &backends, "one");
    pool.instance("a:1", Some(&InstanceState::new(Some(Ok(at("a:1", "one"))))));
    pool.instance("b:1", Some(&InstanceState::new(Some(Err(unreachable_traefik())))));
    let shown = &status(&insight)["traefik"]["instances"];
    assert_eq!((&shown[0]["instance"], &shown[0]["in_force"]), (&json!("a:1"), &json!(true)));
    assert_eq!((&shown[1]["in_force"], &shown[1]["problem"]["kind"]), (&json!(false), &json!("unreachable")));
    assert_eq!(degraded(&insight), ["Traefik b:1: Traefik cannot be reached: connection refused"]);
    assert!(not_ready(&insight).is_empty());

    let mut with_rival = InstanceState::new(Some(Ok(at("b:1", "one"))));
    with_rival.has_rival = true;
    pool.instance("b:1", Some(&with_rival));
    assert_eq!(degraded(&insight), ["Traefik b:1: another program keeps replacing its configuration"]);
    pool.instance("b:1", None);
    assert!(degraded(&insight).is_empty());
}

#[tokio::test(start_paused = true)]
async fn only_another_process_at_the_same_address_is_a_restart() {
    let (insight, pool) = insight();
    let restarts = || status(&insight)["traefik"]["restarts_seen"].clone();
    let state = |address: &str, process: &str| InstanceState::new(Some(Ok(at(address, process))));
    for (address, process) in [("b:1", "one"), ("a:1", "two"), ("c:1", "three"), ("a:1", "two")] {
        pool.pushed_with(&[], &set(&[]), &at(address, process));
        pool.instance(address, Some(&state(address, process)));
    }
    assert_eq!(restarts(), 0, "the first instance of a fleet may be another one each time");
    pool.instance("c:1", Some(&state("c:1", "four")));
    assert_eq!(restarts(), 1);
    pool.pushed_with(&[], &set(&[]), &at("c:1", "four"));
    assert_eq!(restarts(), 1, "it is counted once");
    pool.instance("c:1", None);
    pool.instance("c:1", Some(&state("c:1", "five")));
    assert_eq!(restarts(), 1, "an address that is used again is another Traefik");
}
