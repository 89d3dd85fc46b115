//! Merged answers.

use ilb_discovery::State;
use ilb_reconciler::Method;
use tokio::time::Instant;

use super::*;
use crate::{
    cli::view::{self, Room},
    observe::insight::{
        Insight,
        tests::{Reporter, round_robin, sample, set},
    },
};

/// Returns the status of a replica with these connections to its backends, in these states.
fn status(counts: &[u32], states: &[State]) -> Status {
    let insight = Insight::new();
    let pool = Reporter::add(&insight, "default", "tcp", Method::LeastConnections);
    let set = set(states);
    pool.discovered(&set);
    pool.sampled(&sample(counts));
    pool.planned(&round_robin(&set), &set);
    let mut found = insight.read(|facts| facts.status(usize::MAX, Instant::now()));
    (found.ready, found.level) = (true, Level::Ready);
    (found.not_ready, found.degraded) = (Vec::new(), Vec::new());
    found.summary.severity = Severity::Ok;
    found
}

fn answer(pod: &str, status: Option<Status>) -> Answer {
    let problem = status.is_none().then(|| "it is gone".to_owned());
    Answer { pod: pod.to_owned(), namespace: "apps".to_owned(), node: None, leaving: false, problem, status }
}

fn shown(answers: &[Answer]) -> String {
    let overview = Overview::from_answers(answers).unwrap();
    anstream::adapter::strip_str(&view::status(&overview, Room { width: 160, height: None })).to_string()
}

const BOTH: [State; 2] = [State::Ready, State::Ready];

#[tokio::test]
async fn connections_are_sums_and_shown_by_replica() {
    let answers = [answer("lb-a", Some(status(&[3, 9], &BOTH))), answer("lb-b", Some(status(&[4, 0], &BOTH)))];
    let overview = Overview::from_answers(&answers).unwrap();
    let pool = &overview.status.pools[0];
    let counts: Vec<_> = pool.backends.iter().map(BackendStatus::connections).collect();
    assert_eq!(counts, [Some(7), Some(9)]);
    assert_eq!(pool.text, "2 ready, 16 connections through 2 replicas");
    assert_eq!(pool.imbalance.connections, Some(1.0), "of the sums, not of one replica");
    assert_eq!(overview.status.level, Level::Ready);
    let shown = shown(&answers);
    for part in ["ready: 2 of 2 replicas ready", "REPLICA", "lb-a", "lb-b", "3 + 4 by replica", "9 + 0 by replica"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[tokio::test]
async fn a_replica_that_does_not_answer_degrades_and_is_named() {
    let answers = [answer("lb-a", Some(status(&[3, 9], &BOTH))), answer("lb-b", None)];
    let overview = Overview::from_answers(&answers).unwrap();
    assert!(overview.status.ready && overview.status.level == Level::Degraded, "{:?}", overview.status.summary);
    assert_eq!(overview.status.degraded, ["lb-b does not answer"]);
    let shown = shown(&answers);
    assert!(shown.starts_with("degraded: 1 of 2 replicas ready; lb-b does not answer"), "{shown}");
    assert!(shown.contains("no answer") && shown.contains("it is gone"), "{shown}");
    assert!(Overview::from_answers(&[answer("lb-b", None), answer("lb-a", None)]).is_none());
}

#[tokio::test]
async fn a_replica_that_is_leaving_is_no_trouble_and_its_connections_count() {
    let mut leaving = status(&[5, 5], &BOTH);
    (leaving.ready, leaving.level, leaving.not_ready) = (false, Level::NotReady, vec!["it is draining".to_owned()]);
    let leaving = Answer { leaving: true, ..answer("lb-old", Some(leaving)) };
    let overview = Overview::from_answers(&[answer("lb-a", Some(status(&[1, 1], &BOTH))), leaving]).unwrap();
    assert_eq!((overview.status.level, overview.status.degraded.len()), (Level::Ready, 0));
    assert_eq!(overview.status.pools[0].backends[0].connections(), Some(6));
    assert_eq!(overview.replicas[1].state, "not ready, leaving");
}

#[tokio::test]
async fn the_worst_state_of_a_backend_is_shown_with_the_replica_that_sees_it() {
    let other = [State::Ready, State::NotReady];
    let answers = [answer("lb-a", Some(status(&[1, 1], &BOTH))), answer("lb-b", Some(status(&[1, 1], &other)))];
    let overview = Overview::from_answers(&answers).unwrap();
    let backend = &overview.status.pools[0].backends[1];
    assert_eq!(backend.state, BackendState::NotReady);
    assert_eq!(backend.why, "not ready in lb-b; 1 + 1 by replica");
    assert_eq!(overview.status.pools[0].count.ready, 1);
}

#[tokio::test]
async fn reasons_name_the_replicas_unless_all_have_them() {
    let degraded = |reasons: &[&str]| {
        let mut status = status(&[1, 1], &BOTH);
        status.degraded = reasons.iter().map(|reason| (*reason).to_owned()).collect();
        status
    };
    let (a, b) = (degraded(&["no backend", "stale"]), degraded(&["no backend"]));
    let overview = Overview::from_answers(&[answer("lb-a", Some(a)), answer("lb-b", Some(b))]).unwrap();
    assert_eq!(overview.status.degraded, ["no backend", "stale (in lb-a)"]);
}

#[tokio::test]
async fn many_replicas_fit_on_a_screen_and_those_in_trouble_stay() {
    let mut answers: Vec<_> = (0..30).map(|n| answer(&format!("lb-{n:02}"), Some(status(&[1, 1], &BOTH)))).collect();
    answers[17].status = None;
    let overview = Overview::from_answers(&answers).unwrap();
    assert_eq!(overview.status.pools[0].backends[0].why, "1 to 1 by replica");
    let room = Room { width: 80, height: Some(24) };
    let shown = anstream::adapter::strip_str(&view::screen(Some(&overview), None, "foot", &mut 0, room)).to_string();
    assert!(shown.lines().count() <= 24 && shown.contains("lb-17") && shown.contains("and 2"), "{shown}");
    assert!(shown.contains("Pool default"), "{shown}");
}
