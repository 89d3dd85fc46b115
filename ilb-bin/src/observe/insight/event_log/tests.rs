//! What is in the log of events, and what is not.

use ilb_discovery::{Complaint, State};
use ilb_reconciler::{
    Method,
    decision::{Evidence, Standing},
};
use ilb_traefik_client::Error;
use tokio::time::advance;

use super::*;
use crate::observe::{
    insight::{
        Insight,
        tests::{
            Reporter, address, applied, insight, least_connections, pods, push, round_robin, sample, set,
            unreachable_api_server, unreachable_traefik,
        },
    },
    settings_event::SettingsEvent,
};

/// Returns the texts of the events, oldest first, each with the number of its occurrences if it has several.
fn texts(insight: &Insight) -> Vec<String> {
    let text = |event: &Arc<LoggedEvent>| match event.times {
        1 => event.draft.text.clone(),
        times => format!("{}× {}", times, event.draft.text),
    };
    let mut texts: Vec<_> = insight.read(|facts| facts.log.iter().map(text).collect());
    texts.reverse();
    texts
}

/// Returns the texts of the events since the last call.
fn next_texts(insight: &Insight, seen: &mut usize) -> Vec<String> {
    let texts = texts(insight).split_off(*seen);
    *seen += texts.len();
    texts
}

#[tokio::test(start_paused = true)]
async fn backends_that_come_drain_leave_fail_and_work_again_are_events_with_their_names() {
    let (insight, pool) = insight();
    let mut seen = 0;
    assert_eq!(next_texts(&insight, &mut seen), ["Pool default is to be served at entry point tcp"]);
    pool.discovered(&pods(&["db-0", "db-1"]));
    assert_eq!(next_texts(&insight, &mut seen), ["2 backends came, ready: db-0, db-1"]);
    pool.discovered(&pods(&["db-0", "db-1", "db-2"]));
    assert_eq!(next_texts(&insight, &mut seen), ["db-2 came, ready"]);
    pool.standing_changed(address(1), Standing::Failing, Some(Evidence::ClosedProbe));
    pool.standing_changed(address(1), Standing::State(State::Ready), None);
    let expected = ["db-0 is failing: closes connections at once", "db-0 takes new connections again"];
    assert_eq!(next_texts(&insight, &mut seen), expected);
    pool.discovered(&pods(&["db-0"]));
    assert_eq!(next_texts(&insight, &mut seen), ["db-1 left", "db-2 left"]);
    pool.discovered(&set(&[]));
    let none = "No backend is ready: new connections are closed at once until one is";
    assert_eq!(next_texts(&insight, &mut seen), ["db-0 left", none]);
    pool.discovered(&pods(&["db-0"]));
    assert_eq!(next_texts(&insight, &mut seen), ["db-0 came, ready", "A backend is ready again"]);
    let event = insight.read(|facts| facts.log.iter().nth(1).cloned()).unwrap();
    assert_eq!((event.draft.pool.as_deref(), event.draft.backend), (Some("default"), Some(address(1))));
}

#[tokio::test(start_paused = true)]
async fn trouble_is_an_event_when_it_begins_and_when_it_ends_and_a_push_is_none() {
    let (insight, pool) = insight();
    let backends = set(&[State::Ready]);
    pool.discovered(&backends);
    let mut seen = texts(&insight).len();
    for _ in 0..3 {
        pool.push_failed(&unreachable_traefik());
    }
    push(&pool, &round_robin(&backends), &backends, "one");
    assert_eq!(next_texts(&insight, &mut seen), ["Waiting for Traefik to start", "Traefik 3.7.15 is configured"]);
    for established in [1, 2] {
        push(&pool, &least_connections(&backends, &[established]), &backends, "one");
    }
    assert_eq!(next_texts(&insight, &mut seen), [""; 0]);
    for _ in 0..2 {
        pool.push_failed(&unreachable_traefik());
        pool.stale(&unreachable_api_server());
    }
    push(&pool, &round_robin(&backends), &backends, "two");
    pool.discovered(&backends);
    pool.uncounted("forbidden");
    pool.sampled(&sample(&[1]));
    let expected = [
        "The configuration is not verified: Traefik cannot be reached: connection refused",
        "Discovery is stale: the API server cannot be reached",
        "Traefik 3.7.15 has restarted, and is configured again",
        "Discovery is up to date again",
        "Connections cannot be counted, round robin instead: forbidden",
        "Connections can be counted again",
    ];
    let found = next_texts(&insight, &mut seen);
    assert!(found.len() == 6 && found.iter().zip(expected).all(|(text, start)| text.starts_with(start)), "{found:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_pool_without_its_entry_point_is_said_to_be_served_only_once_it_is() {
    let (insight, pool) = insight();
    let mut seen = texts(&insight).len();
    let other = Reporter::add(&insight, "other", "nope", Method::RoundRobin);
    let backends = set(&[State::Ready]);
    assert_eq!(next_texts(&insight, &mut seen), ["Pool other is to be served at entry point nope"]);
    let missing = || Error::EntryPointMissing { missing: vec!["nope".to_owned()], known: vec!["tcp".to_owned()] };
    let mut refusing = applied("one");
    refusing.faults.insert("other".parse().unwrap(), missing());
    // It is tried again and again.
    for _ in 0..3 {
        pool.pushed_with(&[&other], &backends, &refusing);
    }
    let refused = "Pool other is not served: Traefik has no entry point nope: it has tcp";
    assert_eq!(next_texts(&insight, &mut seen), ["Traefik 3.7.15 is configured", refused]);
    let event = insight.read(|facts| facts.log.iter().next().cloned()).unwrap();
    assert_eq!((event.draft.pool.as_deref(), event.draft.severity), (Some("other"), Severity::Error));
    for _ in 0..2 {
        pool.pushed_with(&[&other], &backends, &applied("one"));
    }
    assert_eq!(next_texts(&insight, &mut seen), ["Pool other is served at entry point nope"]);
    // None of several is served.
    let faults = ["default", "other"].map(|name| (name.parse().unwrap(), missing()));
    pool.push_failed(&Error::NoneInForce { faults: faults.into() });
    let texts = next_texts(&insight, &mut seen);
    assert!(texts.iter().any(|text| text.starts_with("Pool default is not served: ")), "{texts:?}");
    Reporter::add(&insight, "default", "db", Method::RoundRobin);
    let changed = "The settings of pool default have changed: it is to be served at entry point db";
    assert_eq!(next_texts(&insight, &mut seen), [changed]);
}

#[tokio::test(start_paused = true)]
async fn refused_pods_and_settings_are_events() {
    let (insight, pool) = insight();
    let mut seen = texts(&insight).len();
    pool.source.set_complaints(vec![Complaint::new("db-0", "no port is named db", true)]);
    for _ in 0..2 {
        pool.alive();
    }
    insight.settings_changed(&SettingsEvent::Refused { problems: "pools[0].port=x" });
    insight.settings_changed(&SettingsEvent::Restored);
    let expected = [
        "db-0 is left out: no port is named db",
        "The changed settings are refused, the previous ones stay in effect: pools[0].port=x",
        "The settings file is valid again",
    ];
    assert_eq!(next_texts(&insight, &mut seen), expected);
}

#[tokio::test(start_paused = true)]
async fn what_comes_and_goes_again_and_again_displaces_nothing() {
    let (insight, pool) = insight();
    pool.discovered(&pods(&["db-0", "db-1"]));
    for _ in 0..5_000 {
        pool.standing_changed(address(1), Standing::Suspect, Some(Evidence::NoAnswer));
        pool.standing_changed(address(1), Standing::State(State::Ready), None);
        advance(Duration::from_secs(1)).await;
    }
    let expected = [
        "Pool default is to be served at entry point tcp",
        "2 backends came, ready: db-0, db-1",
        "5000× db-0 is suspect: does not answer",
        "5000× db-0 takes new connections again",
    ];
    assert_eq!(texts(&insight), expected);
}

#[tokio::test(start_paused = true)]
async fn many_that_come_and_go_at_the_same_time_displace_nothing_either() {
    let (insight, pool) = insight();
    let names: Vec<_> = (0..40).map(|n| format!("db-{n}")).collect();
    pool.discovered(&pods(&names.iter().map(String::as_str).collect::<Vec<_>>()));
    for _ in 0..50 {
        for last in 1..=40 {
            pool.standing_changed(address(last), Standing::Suspect, Some(Evidence::NoAnswer));
        }
        for last in 1..=40 {
            pool.standing_changed(address(last), Standing::State(State::Ready), None);
        }
        advance(Duration::from_secs(10)).await;
    }
    let texts = texts(&insight);
    assert_eq!(texts.len(), 2 + 2 * 40, "{texts:#?}");
    assert!(texts[2..].iter().all(|text| text.starts_with("50× db-")), "{texts:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_repetition_with_another_number_is_still_one_and_keeps_its_first_number() {
    let (insight, pool) = insight();
    let backends = set(&[State::Ready]);
    pool.discovered(&backends);
    push(&pool, &round_robin(&backends), &backends, "one");
    let before = texts(&insight).len();
    let mut numbers = std::collections::BTreeSet::new();
    for attempts in 1..=3 {
        for _ in 0..attempts {
            pool.push_failed(&unreachable_traefik());
        }
        push(&pool, &round_robin(&backends), &backends, "one");
        numbers.extend(insight.read(|facts| facts.log.iter().next().map(|event| event.first_number)));
        advance(Duration::from_secs(60)).await;
    }
    let again = &texts(&insight)[before..];
    assert_eq!(again.len(), 2, "{again:#?}");
    assert!(again[0].starts_with("3× The configuration is not verified: Traefik cannot be reached"), "{again:#?}");
    assert_eq!(again[1], "3× The configuration is verified again, after 3 failed attempts");
    assert_eq!(numbers.len(), 1, "{numbers:?}");
}

#[tokio::test(start_paused = true)]
async fn events_are_bounded_in_number_and_in_age() {
    let (mut log, now) = (EventLog::default(), Instant::now());
    for n in 0..EventLog::MAX_EVENTS + 10 {
        log.add(Draft::new(EventKind::Pool, Severity::Ok, n.to_string()), now);
    }
    assert_eq!((log.iter().count(), log.newest()), (EventLog::MAX_EVENTS, EventLog::MAX_EVENTS as u64 + 10));
    assert_eq!(log.iter().last().unwrap().draft.text, "10", "the oldest are forgotten");
    let later = now + EventLog::MAX_AGE;
    log.add(Draft::new(EventKind::Pool, Severity::Ok, "new"), later);
    log.forget_old(later);
    assert_eq!(log.iter().count(), EventLog::MAX_EVENTS, "they are not older than a day");
    log.forget_old(later + Duration::from_secs(1));
    assert_eq!(log.iter().map(|event| event.draft.text.as_str()).collect::<Vec<_>>(), ["new"]);
}

#[tokio::test(start_paused = true)]
async fn many_backends_that_change_at_once_are_one_event() {
    let (insight, pool) = insight();
    let names: Vec<_> = (0..100).map(|n| format!("db-{n}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    pool.discovered(&pods(&names[..1]));
    let mut seen = texts(&insight).len();
    pool.discovered(&pods(&names));
    let found = next_texts(&insight, &mut seen);
    assert!(found.len() == 1 && found[0].starts_with("99 backends came, ready: db-1, db-2"), "{found:?}");
    assert!(found[0].ends_with("and 89 more"), "{found:?}");
}
