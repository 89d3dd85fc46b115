//! The lines about connections that are closed on purpose.

use std::num::NonZeroU32;

use ilb_connections::{Ability, Limits, NotNow, Refusal};
use ilb_controller::{ClosingResult, Run, RunEnd};
use ilb_reconciler::closing::{ClosingState, Hold, PauseReason, Why};
use tokio::time::Instant;

use super::*;
use crate::observe::insight::tests::closing::order;

impl Logged {
    fn began(&mut self, run: &Run) {
        self.log.on(&Event::ClosingsBegan { pool: &name("a"), run });
    }

    fn ended(&mut self, run: &Run, end: RunEnd) {
        self.log.on(&Event::ClosingsEnded { pool: &name("a"), run, end });
    }

    fn state(&mut self, state: ClosingState) {
        self.log.on(&Event::ClosingStateChanged { pool: &name("a"), state });
    }

    fn result(&mut self, pool: &str, result: &ClosingResult) {
        self.log.on(&Event::ConnectionClosed { pool: &name(pool), order: &order(), result });
    }

    fn ability(&mut self, ability: &Ability) {
        self.log.on(&Event::CloserChanged { ability });
    }

    /// Asserts that there is one line since the last call, and that it has all of these parts.
    #[track_caller]
    fn assert_line(&self, parts: &[&str]) {
        let lines = self.lines.take();
        assert!(lines.len() == 1 && parts.iter().all(|part| lines[0].contains(part)), "{lines:#?} is not {parts:?}");
    }
}

fn run(why: Why) -> Run {
    Run::new(why, (196, 400), Instant::now())
}

fn able(max_rate: u32) -> Ability {
    let limits = Limits::new(["10.0.0.0/8".parse().unwrap()], [5432], [3333]).unwrap();
    let [max_rate, max_per_hour] = [max_rate, 1_000].map(|number| NonZeroU32::new(number).unwrap());
    Ability::Able(limits.with_max_rate(max_rate).with_max_per_hour(max_per_hour))
}

#[tokio::test(start_paused = true)]
async fn a_run_of_closings_is_a_line_when_it_begins_and_one_when_it_ends() {
    let mut logged = Logged::new(&["a"]);
    for (why, text) in [
        (Why::Rebalance, "Rebalancing: 196 of 400 connections"),
        (Why::Drain, "Closing what is left on draining backends: 196 of 400 connections"),
        (Why::Role, "Closing the connections of backends that no longer match the selector: 196 of 400 connections"),
        (Why::Age, "Closing connections that are too old: 196 of 400 connections"),
    ] {
        let mut run = run(why);
        logged.began(&run);
        logged.assert_line(&["INFO", text, "pool=a", &format!("why={why}"), "dry_run=false"]);
        (0..190).for_each(|_| logged.result("a", &ClosingResult::Closed));
        (0..4).for_each(|_| logged.result("a", &ClosingResult::NotNow(NotNow::NotQuiet)));
        logged.assert_lines(&[]);
        (run.closed, run.spared) = (190, 4);
        logged.wait(Duration::from_secs(12)).await;
        logged.ended(&run, RunEnd::Done);
        let parts = ["INFO", "190 connections closed in 12 s", "pool=a", &format!("why={why}"), "spared=4", "\"done\""];
        logged.assert_line(&parts);
    }
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_is_logged_as_one() {
    let mut logged = Logged::new(&["a"]);
    let mut run = run(Why::Rebalance);
    run.is_dry_run = true;
    logged.began(&run);
    logged.assert_line(&["Rebalancing: 196 of 400 connections (dry run: none is closed)", "dry_run=true"]);
    run.closed = 196;
    logged.ended(&run, RunEnd::Replaced);
    logged.assert_line(&["196 connections would have been closed in 0 s", "dry_run=true", "\"replaced\""]);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_does_not_reach_its_end_is_logged_with_what_keeps_it_from_that() {
    let mut logged = Logged::new(&["a"]);
    let until = Instant::now() + Duration::from_secs(600);
    for (end, text) in [
        (RunEnd::Interrupted(Hold::StaleBackends), "interrupted: the backends may be out of date"),
        (RunEnd::Paused(PauseReason::ClientsStayAway, until), "paused: too few clients came back"),
        (RunEnd::Paused(PauseReason::CloserFailed, until), "paused: the closer"),
    ] {
        logged.ended(&run(Why::Age), end);
        logged.assert_line(&["0 connections closed", text]);
    }
}

#[tokio::test(start_paused = true)]
async fn of_the_states_only_a_pause_is_logged_with_its_end_and_the_way_out() {
    let mut logged = Logged::new(&["a"]);
    for state in [
        ClosingState::Idle,
        ClosingState::Waiting(Hold::Starting),
        ClosingState::Closing { why: Why::Rebalance, left: 3 },
    ] {
        logged.state(state);
    }
    logged.assert_lines(&[]);
    let until = (Instant::now() + Duration::from_secs(600)).into_std();
    logged.state(ClosingState::Paused(PauseReason::ClientsStayAway, until));
    logged.assert_line(&[
        "WARN",
        "No connection is closed for the next 600 s",
        "pool=a",
        "too few clients came back",
        "clients of this pool do not connect again: switch off the rules under closing",
    ]);
    logged.state(ClosingState::Paused(PauseReason::CloserFailed, until));
    logged.assert_line(&["WARN", "for the next 600 s", "see the log of the container closer"]);
}

#[tokio::test(start_paused = true)]
async fn each_kind_of_refusal_is_logged_once_for_each_pool_until_the_closer_changes() {
    let mut logged = Logged::new(&["a", "b"]);
    for _ in 0..3 {
        logged.result("a", &ClosingResult::Refused(Refusal::ForeignPort));
    }
    logged.assert_line(&[
        "WARN",
        "The closer refuses to close connections: none is closed for a while",
        "pool=a",
        "backend=10.0.0.1:5432",
        &Refusal::ForeignPort.to_string(),
    ]);
    logged.result("a", &ClosingResult::Refused(Refusal::TooFast));
    logged.assert_line(&["The closer refuses", &Refusal::TooFast.to_string()]);
    logged.result("b", &ClosingResult::Refused(Refusal::ForeignPort));
    logged.assert_line(&["The closer refuses", "pool=b"]);
    logged.result("a", &ClosingResult::Closed);
    logged.result("a", &ClosingResult::Refused(Refusal::ForeignPort));
    logged.assert_lines(&[]);
    logged.ability(&able(20));
    logged.assert_line(&["INFO", "The closer can close connections", "max_rate=20", "max_per_hour=1000"]);
    logged.result("a", &ClosingResult::Refused(Refusal::ForeignPort));
    logged.assert_line(&["The closer refuses"]);
}

#[tokio::test(start_paused = true)]
async fn a_closer_that_fails_is_logged_once_until_it_works_or_fails_otherwise() {
    let mut logged = Logged::new(&["a"]);
    let failure = |text: &str| ClosingResult::Failed(text.to_owned());
    logged.result("a", &failure("no answer"));
    logged.result("a", &failure("no answer"));
    logged.assert_line(&["WARN", "The closer failed: no connection is closed for a while", "no answer"]);
    logged.result("a", &failure("gone"));
    logged.assert_line(&["The closer failed", "gone"]);
    logged.result("a", &ClosingResult::Closed);
    logged.result("a", &failure("gone"));
    logged.assert_line(&["The closer failed", "gone"]);
}

#[tokio::test(start_paused = true)]
async fn a_closer_that_cannot_close_is_logged_with_the_reason() {
    let mut logged = Logged::new(&["a"]);
    logged.ability(&Ability::Unable("no right".to_owned()));
    logged.assert_line(&["WARN", "The closer cannot close connections: what it would close is only shown", "no right"]);
    logged.ability(&Ability::Unreachable("no such file".to_owned()));
    logged.assert_line(&["WARN", "The closer is not reachable: what it would close is only shown", "no such file"]);
}
