//! The texts that the commands print for a status.

use ilb_discovery::State;
use ilb_reconciler::{
    ClosingPolicy, Method,
    closing::{Age, Drain, Outlook, Rebalance},
    siblings::ReplicaId,
};
use ilb_siblings::SiblingEvent;
use tokio::time::Instant;

use super::*;
use crate::observe::insight::{
    Insight,
    tests::{Reporter, round_robin, sample, set},
};

const ROOM: Room = Room { width: 100, height: None };

/// Returns the status of an ilb that has planned for this many backends and has pushed nothing yet.
fn waiting(backends: usize) -> Status {
    let insight = Insight::new();
    let pool = Reporter::add(&insight, "default", "tcp", Method::LeastConnections);
    let states: Vec<_> = (0..backends).map(|n| if n == 1 { State::Draining } else { State::Ready }).collect();
    let set = set(&states);
    pool.discovered(&set);
    pool.sampled(&sample(&vec![3; backends]));
    pool.planned(&round_robin(&set), &set);
    insight.read(|facts| facts.status(usize::MAX, Instant::now()))
}

fn without_colours(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

#[tokio::test]
async fn all_reasons_for_not_being_ready_are_shown() {
    let mut waiting = waiting(2);
    let reasons = "; and a reason".repeat(20);
    waiting.summary.text += &reasons;
    let shown = without_colours(&status(&waiting.into(), ROOM));
    assert!(shown.starts_with("starting: pool default: nothing has been pushed yet"), "{shown}");
    for part in ["Not configured yet", "1 ready, 1 draining, 6 connections", "leaving: keeps existing", &reasons] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[tokio::test]
async fn siblings_and_the_share_of_a_pool_are_shown() {
    let insight = Insight::new();
    let pool = Reporter::add(&insight, "default", "tcp", Method::LeastConnections);
    pool.discovered(&set(&[State::Ready]));
    pool.shares_with(ReplicaId::new(2));
    pool.sampled(&sample(&[3]));
    let event = |last: u8| SiblingEvent::Heard {
        address: ([10, 0, 1, last], 8081).into(),
        replica: ReplicaId::new(last.into()),
    };
    pool.sibling(&event(2));
    pool.sibling(&event(3));
    let shown = insight.read(|facts| facts.status(usize::MAX, Instant::now()));
    let shown = without_colours(&status(&shown.into(), ROOM));
    assert!(shown.contains("Siblings    Balancing together with 2 more\n"), "{shown}");
    assert!(shown.contains("Sharing     Gets 50 % of the new connections, 1 sibling, counted at most"), "{shown}");
}

#[tokio::test]
async fn a_screen_is_never_exceeded_and_shows_how_much_is_left_out() {
    let status = waiting(100);
    for (width, height) in [(120, 40), (60, 14), (20, 8)] {
        let room = Room { width, height: Some(height) };
        let shown = without_colours(&screen(
            Some(&status.clone().into()),
            Some("no ilb can be reached"),
            "http://a",
            &mut 0,
            room,
        ));
        assert!(shown.lines().all(|line| line.chars().count() <= width), "{width}: {shown}");
        assert!(shown.lines().count() <= height, "{height}: {shown}");
        assert!(shown.contains("no ilb") && shown.contains("http://a"), "{shown}");
        if height > 10 {
            assert!(shown.contains("more backends") && shown.contains("draining"), "{shown}");
        }
    }
}

#[tokio::test]
async fn nothing_that_a_terminal_acts_on_is_printed() {
    let mut status = waiting(1);
    status.summary.text = "a\u{1b}[2Jb".to_owned();
    status.traefik.summary.detail = "a\u{1b}[2Jb".to_owned();
    status.pools[0].name = "\u{1b}]0;title\u{7}".to_owned();
    status.pools[0].backends[0].why = "\u{9b}31m".to_owned();
    let shown = without_colours(&super::status(&status.clone().into(), ROOM)) + &line(&status.clone().into());
    assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{shown:?}");
}

/// Returns the line of a plan that is about closing connections, if there is one.
fn plan_of_closings(policy: ClosingPolicy, change: impl FnOnce(&mut Outlook)) -> Option<String> {
    let insight = Insight::new();
    let pool = Reporter::add_closing(&insight, ("default", "tcp", Method::LeastConnections), policy);
    let (set, mut outlook) = (set(&[State::Ready, State::Ready]), Outlook::default());
    pool.discovered(&set);
    change(&mut outlook);
    pool.closings_planned(&outlook);
    pool.planned(&round_robin(&set), &set);
    let status = insight.read(|facts| facts.status(usize::MAX, Instant::now()));
    let shown =
        without_colours(&super::plan(&status.pools, status.siblings.as_ref(), Room { width: 200, height: None }));
    shown.lines().find_map(|line| line.strip_prefix("Closing")).map(|line| line.trim().to_owned())
}

#[tokio::test]
async fn a_plan_shows_what_the_rules_would_close() {
    let rebalance = ClosingPolicy { rebalance: Some(Rebalance::default()), ..ClosingPolicy::default() };
    let drain = ClosingPolicy { drain: Some(Drain::default()), ..ClosingPolicy::default() };
    let both = ClosingPolicy { drain: drain.drain, ..rebalance.clone() };
    let age = ClosingPolicy { age: Some(Age::new(std::time::Duration::from_secs(3_600))), ..ClosingPolicy::default() };
    let moves = |o: &mut Outlook| (o.connections, o.to_move, o.moves_per_second) = (127, 40, 2);
    let all = |o: &mut Outlook| (o.connections, o.to_move, o.moves_per_second, o.to_drain) = (127, 40, 2, 7);

    assert_eq!(plan_of_closings(ClosingPolicy::default(), moves), None, "no rules");
    assert_eq!(
        plan_of_closings(rebalance.clone(), moves).unwrap(),
        "40 of 127 connections would be moved, at most 2 a second, rules: rebalance"
    );
    assert_eq!(
        plan_of_closings(drain, |o| (o.connections, o.to_drain) = (127, 1)).unwrap(),
        "1 connection of draining backends would be closed in time, rules: drain"
    );
    assert_eq!(
        plan_of_closings(both, all).unwrap(),
        "40 of 127 connections would be moved, at most 2 a second; 7 connections of draining backends would be closed in \
         time, rules: rebalance, drain"
    );
    assert_eq!(
        plan_of_closings(rebalance, |o| o.connections = 127).unwrap(),
        "No connection would be closed now, rules: rebalance"
    );
    assert_eq!(
        plan_of_closings(age, |_| {}).unwrap(),
        "No connection would be closed now, rules: age; only a running ilb knows how old connections are"
    );
}

/// Returns the status of an ilb with this many pools of 50 backends each.
fn pools_of_50(pools: usize) -> Status {
    let mut status = waiting(50);
    let pool = status.pools[0].clone();
    status.pools = (0..pools).map(|n| PoolStatus { name: format!("pool-{n}"), ..pool.clone() }).collect();
    status
}

#[tokio::test]
async fn where_there_is_no_room_for_backends_each_pool_has_a_line() {
    let (mut status, room) = (pools_of_50(10), Room { width: 80, height: Some(24) });
    status.pools[3].degraded = vec!["no answer from 1 backend".to_owned()];
    let shown = |status: &Status, height| {
        let room = Room { height: Some(height), ..room };
        without_colours(&screen(Some(&status.clone().into()), None, "foot", &mut 0, room))
    };
    let lines = shown(&status, 24);
    let rows: Vec<_> = lines.lines().filter(|line| line.contains("pool-")).collect();
    assert_eq!(rows.len(), 10, "{lines}");
    for (n, row) in rows.iter().enumerate() {
        let key = if n < 9 { (n + 1).to_string() } else { "pool-9".to_owned() };
        assert!(row.trim_start().starts_with(&key) && row.contains("49/50") && row.contains("150"), "{row}");
    }
    assert!(rows[3].contains("no answer"), "{lines}");
    assert!(!lines.contains("10.0.0."), "there is no room for backends: {lines}");
    // Chosen, it has its backends.
    status.pools.truncate(1);
    assert!(shown(&status, 24).lines().filter(|line| line.contains("10.0.0.")).count() > 10);

    // What is wrong stays when there is not even room for a line of each.
    let mut many = pools_of_50(100);
    many.pools[77].severity = crate::observe::insight::Severity::Error;
    let lines = shown(&many, 12);
    assert!(lines.contains("pool-77") && lines.contains("more pools: n opens"), "{lines}");
    assert!(lines.lines().count() <= 12, "{lines}");
}

#[tokio::test]
async fn the_status_ends_with_the_runbooks_of_what_is_wrong_each_once() {
    let (insight, pool) = crate::observe::insight::tests::insight();
    let none = set(&[]);
    pool.discovered(&none);
    crate::observe::insight::tests::push(&pool, &round_robin(&none), &none, "one");
    let mut shown = insight.read(|facts| facts.status(usize::MAX, Instant::now()));
    shown.reasons.extend(shown.reasons.clone());
    let text = without_colours(&status(&shown.clone().into(), ROOM));
    let pages: Vec<_> = text.lines().filter(|line| line.contains("/chart/runbooks.md#")).collect();
    assert!(pages[0].starts_with("Runbooks    https://"), "{text}");
    assert_eq!(pages.len(), 1, "{text}");
    shown.reasons.clear();
    assert!(!without_colours(&status(&shown.into(), ROOM)).contains("Runbooks"));
}

#[tokio::test]
async fn the_whole_screen_is_used_and_no_pool_is_left_out() {
    for (width, height, pools) in [(80, 24, 10), (200, 60, 10), (80, 24, 3), (80, 24, 1)] {
        let room = Room { width, height: Some(height) };
        let shown = without_colours(&screen(Some(&pools_of_50(pools).into()), None, "foot", &mut 0, room));
        let lines: Vec<_> = shown.lines().collect();
        assert!(lines.len() <= height && lines.len() + 8 >= height, "{width}x{height}: {} lines: {shown}", lines.len());
        for pool in 0..pools {
            assert!(shown.contains(&format!("pool-{pool}")), "{width}x{height}: pool {pool}: {shown}");
        }
        let backends = lines.iter().filter(|line| line.contains("10.0.0.")).count();
        assert!(pools == 10 && height == 24 || backends >= pools, "{width}x{height}: {backends} backends: {shown}");
    }
}

#[tokio::test]
async fn every_backend_can_be_scrolled_to() {
    let (status, room) = (pools_of_50(10), Room { width: 80, height: Some(24) });
    let (mut scrolled, mut seen) = (1, std::collections::BTreeSet::new());
    loop {
        let before = scrolled;
        let shown = without_colours(&screen(Some(&status.clone().into()), None, "foot", &mut scrolled, room));
        seen.extend(shown.lines().filter(|line| line.contains("Pool pool-")).map(str::to_owned));
        assert!(shown.lines().count() <= 24);
        if scrolled < before {
            break; // moved back to the end
        }
        scrolled += 20;
    }
    assert_eq!(seen.len(), 10);
    let at_end = without_colours(&screen(Some(&status.clone().into()), None, "foot", &mut scrolled, room));
    assert!(at_end.contains("10.0.0.50:5432"), "{at_end}");
}

#[test]
fn lines_that_one_pool_does_not_need_the_others_get() {
    assert_eq!(divided(30, &[5, 100, 100]), [5, 12, 13]);
    assert_eq!(divided(30, &[5, 5]), [5, 5]);
    assert_eq!(divided(2, &[9, 9, 9]), [0, 1, 1]);
    assert_eq!(divided(9, &[]), [0; 0]);
}

#[tokio::test]
async fn no_backend_is_left_out_where_there_is_room_for_all() {
    let status = waiting(5);
    let whole = super::status(&status.clone().into(), ROOM).lines().count();
    let room = Room { width: 100, height: Some(whole + 2) };
    let shown = without_colours(&screen(Some(&status.clone().into()), None, "foot", &mut 0, room));
    assert_eq!(shown.lines().filter(|line| line.contains("10.0.0.")).count(), 5, "{shown}");
}
