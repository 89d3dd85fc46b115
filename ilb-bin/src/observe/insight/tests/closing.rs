//! What is shown of connections that are closed on purpose.

use ilb_connections::{Limits, Refusal};
use ilb_reconciler::closing::{Conditions, Half, Hold, How, PauseReason, Rebalance, Why};
use tokio::time::Instant;

use super::*;

pub(crate) fn order() -> Order {
    Order {
        id: 1,
        backend: address(1),
        local: ([10, 0, 9, 9], 1024).into(),
        cookie: 7,
        how: How::Finish,
        only_if: Conditions::NONE,
        why: Why::Rebalance,
    }
}

fn facts(change: impl FnOnce(&mut ClosingFacts)) -> ClosingFacts {
    let mut facts = ClosingFacts::default();
    change(&mut facts);
    facts
}

fn with_rebalance() -> (Insight, Reporter) {
    let policy = ClosingPolicy { rebalance: Some(Rebalance::default()), ..ClosingPolicy::default() };
    let insight = Insight::new();
    let pool = Reporter::add_closing(&insight, ("default", "tcp", Method::LeastConnections), policy);
    (insight, pool)
}

fn closing(insight: &Insight) -> Value {
    status_of(insight)["pools"][0]["closing"].clone()
}

fn status_of(insight: &Insight) -> Value {
    serde_json::to_value(insight.read(|facts| facts.status(usize::MAX, Instant::now()))).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_pool_without_rules_shows_no_closings() {
    let (insight, _pool) = insight();
    assert_eq!((closing(&insight), status_of(&insight)["closer"].clone()), (Value::Null, Value::Null));
}

#[tokio::test(start_paused = true)]
async fn the_state_of_closings_is_shown_with_its_reason() {
    let (insight, pool) = with_rebalance();
    assert_eq!(closing(&insight)["summary"]["text"], "No connection to close");
    pool.closing(ClosingState::Waiting(Hold::Starting), facts(|facts| facts.is_dry_run = true));
    let shown = closing(&insight);
    assert_eq!((&shown["state"], &shown["why"]), (&json!("waiting"), &json!("starting")));
    assert_eq!(shown["summary"]["text"], "Dry run: waiting, because ilb or Traefik started a moment ago");
    let left = 120;
    pool.closing(
        ClosingState::Closing { why: Why::Rebalance, left },
        facts(|facts| (facts.left, facts.away) = (left, 2)),
    );
    let shown = closing(&insight);
    assert_eq!(shown["summary"]["text"], "Rebalancing, 120 connections left to close");
    assert_eq!(shown["summary"]["detail"], "rules: rebalance; 2 clients not back yet");
    let until = (Instant::now() + Duration::from_secs(600)).into_std();
    pool.closing(ClosingState::Paused(PauseReason::ClientsStayAway, until), ClosingFacts::default());
    let shown = closing(&insight);
    assert_eq!((&shown["state"], &shown["summary"]["severity"]), (&json!("paused"), &json!("warning")));
    assert_eq!(
        shown["summary"]["text"],
        "Paused for 10 min, because too few clients came back after their connections were closed"
    );
}

#[tokio::test(start_paused = true)]
async fn the_closer_is_shown_with_what_keeps_it_from_closing() {
    let (insight, pool) = with_rebalance();
    pool.closer(&Ability::Unable("no right".to_owned()));
    let shown = status_of(&insight)["closer"].clone();
    assert_eq!((&shown["able"], &shown["summary"]["detail"]), (&json!(false), &json!("no right")));
    let limits = Limits::new(["10.0.0.0/8".parse().unwrap()], [5432], [3333]).unwrap();
    pool.closer(&Ability::Able(limits));
    assert_eq!(status_of(&insight)["closer"]["able"], true);
}

#[tokio::test(start_paused = true)]
async fn each_order_is_counted_by_its_reason_and_result() {
    let (insight, pool) = with_rebalance();
    pool.closer(&Ability::Unreachable("gone".to_owned()));
    pool.connection_closed(&order(), &ClosingResult::Closed);
    pool.connection_closed(&order(), &ClosingResult::Refused(Refusal::TooFast));
    pool.closing(ClosingState::Idle, facts(|facts| (facts.away, facts.asked) = (1, 3)));
    let text = Metrics::new(insight, DroppedLines::default()).text(Format::OpenMetrics).unwrap();
    for line in [
        r#"ilb_closings_total{pool="default",why="rebalance",result="closed"} 1"#,
        r#"ilb_closings_total{pool="default",why="rebalance",result="refused"} 1"#,
        r#"ilb_closings_total{pool="default",why="rebalance",result="failed"} 0"#,
        r#"ilb_closing_state{pool="default",state="idle"} 1"#,
        r#"ilb_closing_state{pool="default",state="paused"} 0"#,
        r#"ilb_closing_away{pool="default"} 1"#,
        r#"ilb_closing_candidates{pool="default",answered="no"} 3"#,
        "ilb_closer_up 0",
        r#"ilb_closer_refused_total{why="too-fast"} 1"#,
        r#"ilb_closer_refused_total{why="too-many"} 0"#,
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
    assert!(!text.contains(r#"why="drain""#), "a rule that is off has no series");
}

#[tokio::test(start_paused = true)]
async fn each_order_about_a_half_is_counted_by_its_result() {
    let (insight, pool) = with_rebalance();
    let text = || Metrics::new(insight.clone(), DroppedLines::default()).text(Format::OpenMetrics).unwrap();
    assert!(!text().contains("ilb_closing_halves_total{"), "there is no closer");
    pool.closer(&Ability::Unreachable("gone".to_owned()));
    let (local, client) = (([10, 0, 9, 9], 3333).into(), ([192, 0, 2, 1], 50_000).into());
    let half = Half { cookie: 7, local, client, since: None, silent: Duration::ZERO };
    pool.half_closed(&half, &ClosingResult::Closed);
    pool.half_closed(&half, &ClosingResult::Refused(Refusal::NotHalf));
    let text = text();
    for line in [
        r#"ilb_closing_halves_total{result="closed"} 1"#,
        r#"ilb_closing_halves_total{result="refused"} 1"#,
        r#"ilb_closing_halves_total{result="failed"} 0"#,
        r#"ilb_closer_refused_total{why="not-half"} 1"#,
        r#"ilb_closings_total{pool="default",why="rebalance",result="closed"} 0"#,
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
}
