//! The lines of the log: one per change of state, and summaries of what is repeated.

use std::{sync::Arc, time::Duration};

use ilb_connections::{ProbeError, Probed};
use ilb_controller::{Desired, PoolInfo, PoolSpec};
use ilb_discovery::{BackendSet, State, testing::FakeDiscovery};
use ilb_reconciler::{
    Method,
    decision::{Evidence, Standing},
    least_connections::StandingChange,
    siblings::ReplicaId,
};
use ilb_siblings::{Problem, SiblingEvent};
use ilb_traefik_client::Error;
use tokio::time::advance;
use tracing::subscriber::DefaultGuard;

use super::*;
use crate::{
    observe::insight::tests::{address, applied, pods, round_robin, set, unreachable_api_server, unreachable_traefik},
    process::collected_lines::Lines,
};

mod closing;

/// Returns the outcome of a probe that a backend does not answer.
fn refused() -> Result<Probed, ProbeError> {
    Err(ProbeError::Backend(std::io::ErrorKind::ConnectionRefused.into()))
}

/// A log of pools that are balanced by round robin.
struct Logged {
    log: LogObserver,
    lines: Lines,
    _guard: DefaultGuard,
}

impl Logged {
    fn new(pools: &[&str]) -> Self {
        let (lines, guard) = Lines::collect();
        let mut this =
            Self { log: LogObserver::new(DroppedLines::default(), RepeatedLines::default()), lines, _guard: guard };
        for pool in pools {
            this.add(pool);
        }
        this
    }

    fn add(&mut self, pool: &str) {
        let info = PoolInfo::new(spec(pool), Method::RoundRobin, Arc::new(FakeDiscovery::default()));
        self.log.on(&Event::PoolAdded { pool: &info });
    }

    fn discovered(&mut self, pool: &str, set: &Arc<BackendSet>, previous: Option<&BackendSet>) {
        self.log.on(&Event::Discovered { pool: &name(pool), set, previous, stale: None });
    }

    fn pushed(&mut self, desired: &DesiredPools) {
        let previous = DesiredPools::new();
        self.log.on(&Event::Pushed { desired, previous: &previous, applied: &applied("one") });
    }

    /// Reports that the first backend of pool `a` stands differently from now on.
    fn stands(&mut self, from: Standing, to: Standing) {
        let evidence = (to == Standing::Suspect).then_some(Evidence::NoAnswer);
        let change = StandingChange::new(address(1), from, to, evidence);
        self.log.on(&Event::StandingChanged { pool: &name("a"), change: &change });
    }

    /// Lets time pass as the loop would.
    async fn wait(&mut self, time: Duration) {
        advance(time).await;
        self.log.on(&Event::Alive);
    }

    /// Returns the level and the beginning of each line since the last call.
    #[track_caller]
    fn assert_lines(&self, expected: &[&str]) {
        let lines = self.lines.take();
        let fits =
            lines.len() == expected.len() && lines.iter().zip(expected).all(|(line, text)| line.starts_with(text));
        assert!(fits, "{lines:#?} is not {expected:#?}");
    }
}

fn name(pool: &str) -> Name {
    pool.parse().unwrap()
}

fn spec(pool: &str) -> Arc<PoolSpec> {
    Arc::new(PoolSpec::new(name(pool), name(pool)))
}

fn desired(pools: &[(&str, &Arc<BackendSet>)]) -> DesiredPools {
    let desired = |(pool, set): &(&str, &Arc<BackendSet>)| {
        (name(pool), Desired::new(spec(pool), Arc::clone(set), round_robin(set)))
    };
    pools.iter().map(desired).collect()
}

#[tokio::test(start_paused = true)]
async fn pods_that_come_and_leave_are_logged_by_name() {
    let mut logged = Logged::new(&["a"]);
    let (before, after) = (pods(&["db-0", "db-1"]), pods(&["db-0", "db-2", "db-3"]));
    logged.discovered("a", &before, None);
    logged.discovered("a", &after, Some(&before));
    let lines = logged.lines.take();
    assert!(lines[0].contains("came=\"db-0, db-1\"") && !lines[0].contains("left="), "{lines:?}");
    assert!(lines[1].contains("came=\"db-2, db-3\" left=\"db-1\""), "{lines:?}");
    logged.stands(Standing::State(State::Ready), Standing::Suspect);
    logged.assert_lines(&[
        "WARN A backend is suspect: no new connections until it answers pool=a backend=10.0.0.1:5432 pod=\"db-0\"",
    ]);
}

#[tokio::test(start_paused = true)]
async fn a_push_is_logged_for_the_pools_that_it_changes() {
    let mut logged = Logged::new(&["a", "b"]);
    let (one, two) = (set(&[State::Ready]), set(&[State::Ready; 2]));
    let mut desired = desired(&[("a", &one), ("b", &one)]);
    logged.pushed(&desired);
    logged.assert_lines(&["INFO Updated pool=a", "INFO Updated pool=b"]);
    desired.extend(self::desired(&[("a", &two)]));
    logged.pushed(&desired);
    logged.assert_lines(&["INFO Updated pool=a"]);
    // A push for balance, or for another pool.
    logged.pushed(&desired);
    logged.assert_lines(&[]);
    logged.add("b");
    logged.pushed(&desired);
    logged.assert_lines(&["INFO Updated pool=b"]);
}

#[tokio::test(start_paused = true)]
async fn the_numbers_of_a_push_are_those_of_what_was_in_force_before_it() {
    let mut logged = Logged::new(&["a"]);
    let (one, two) = (set(&[State::Ready]), set(&[State::Ready; 2]));
    logged.pushed(&desired(&[("a", &one)]));
    logged.log.on(&Event::ProofLost { error: &Error::Restarted });
    logged.lines.take();
    logged.pushed(&desired(&[("a", &two)]));
    let lines = logged.lines.take();
    assert!(lines[1].contains("added=1 removed=0 updated=0"), "{lines:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_failure_and_its_end_are_a_line_each() {
    let mut logged = Logged::new(&["a"]);
    let desired = desired(&[("a", &set(&[State::Ready]))]);
    logged.pushed(&desired);
    logged.lines.take();
    logged.log.on(&Event::ProofLost { error: &Error::Restarted });
    for _ in 0..100 {
        logged.log.on(&Event::PushFailed { error: &unreachable_traefik() });
        logged.wait(Duration::from_millis(500)).await;
    }
    logged.assert_lines(&["WARN Traefik's configuration is no longer verified", "ERROR Failed to update error="]);
    logged.pushed(&desired);
    logged.assert_lines(&["INFO Traefik's configuration is verified again"]);
}

/// Another ilb that configures the same Traefik makes each lose its proof twice a second.
#[tokio::test(start_paused = true)]
async fn a_proof_that_is_lost_again_and_again_is_summed_up() {
    let mut logged = Logged::new(&["a", "b"]);
    let one = set(&[State::Ready]);
    let desired = desired(&[("a", &one), ("b", &one)]);
    logged.pushed(&desired);
    logged.lines.take();
    let overwritten = Error::Overwritten(applied("one").revision);
    let mut lines = Vec::new();
    for _ in 0..240 {
        logged.log.on(&Event::ProofLost { error: &overwritten });
        logged.pushed(&desired);
        logged.wait(Duration::from_millis(500)).await;
        lines.extend(logged.lines.take());
    }
    let expected = [
        "WARN Traefik's configuration is no longer verified: updating again",
        "INFO Traefik's configuration is verified again",
        "WARN Traefik's configuration is no longer verified: repeated 119 times in 60 s",
        "WARN Traefik's configuration is no longer verified: repeated 120 times in 60 s",
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    assert!(lines.iter().zip(expected).all(|(line, text)| line.starts_with(text)), "{lines:#?}");
}

#[tokio::test(start_paused = true)]
async fn while_traefik_starts_one_line_waits_for_it() {
    let mut logged = Logged::new(&["a"]);
    for _ in 0..5 {
        logged.log.on(&Event::PushFailed { error: &unreachable_traefik() });
        logged.wait(Duration::from_millis(500)).await;
    }
    logged.assert_lines(&["INFO Waiting for Traefik"]);
    logged.pushed(&desired(&[("a", &set(&[State::Ready]))]));
    let lines = logged.lines.take();
    assert!(lines.len() == 1 && lines[0].contains("failed_attempts=5"), "{lines:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_view_that_is_stale_now_and_then_is_summed_up() {
    let mut logged = Logged::new(&["a"]);
    let backends = set(&[State::Ready]);
    logged.discovered("a", &backends, None);
    logged.assert_lines(&["INFO Found pods pool=a ready=1"]);
    for _ in 0..61 {
        logged.log.on(&Event::DiscoveryStale { pool: &name("a"), error: &unreachable_api_server() });
        logged.discovered("a", &backends, Some(&backends));
        logged.wait(Duration::from_secs(1)).await;
    }
    logged.assert_lines(&[
        "WARN Discovery is stale: backends that it cannot see stay as seen last",
        "INFO Discovery is up to date again",
        "WARN Discovery is stale: repeated 59 times in 60 s",
    ]);
}

#[tokio::test(start_paused = true)]
async fn a_view_that_is_stale_in_part_is_not_up_to_date_when_another_part_changes() {
    let mut logged = Logged::new(&["a"]);
    let (one, two, pool, error) = (set(&[State::Ready]), set(&[State::Ready; 2]), name("a"), unreachable_api_server());
    for (set, previous) in [(&one, None), (&two, Some(&*one)), (&one, Some(&*two))] {
        logged.log.on(&Event::Discovered { pool: &pool, set, previous, stale: Some(&error) });
        logged.log.on(&Event::DiscoveryStale { pool: &pool, error: &error });
    }
    logged.assert_lines(&[
        "INFO Found pods pool=a ready=1",
        "WARN Discovery is stale: backends that it cannot see stay as seen last",
        "INFO Found pods pool=a ready=2",
        "INFO Found pods pool=a ready=1",
    ]);
    logged.discovered("a", &one, Some(&one));
    logged.assert_lines(&["INFO Discovery is up to date again"]);
}

#[tokio::test(start_paused = true)]
async fn counting_that_fails_now_and_then_is_summed_up() {
    let mut logged = Logged::new(&["a"]);
    for _ in 0..61 {
        logged.log.on(&Event::CountingFailed { pool: &name("a"), error: &ilb_connections::Error::Cancelled });
        logged.log.pool(&name("a")).counted();
        logged.wait(Duration::from_secs(1)).await;
    }
    logged.assert_lines(&[
        "WARN Connections cannot be counted: round robin until they can",
        "INFO Connections can be counted again",
        "WARN Connections cannot be counted: repeated 59 times in 60 s",
    ]);
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_is_suspect_is_logged_when_that_begins_and_ends_and_not_per_probe() {
    let mut logged = Logged::new(&["a"]);
    let pool = name("a");
    let (ready, suspect) = (Standing::State(State::Ready), Standing::Suspect);
    logged.stands(ready, suspect);
    for _ in 0..100 {
        let outcome = refused();
        logged.log.on(&Event::Probed { pool: &pool, backend: address(1), outcome: &outcome });
    }
    logged
        .assert_lines(&["WARN A backend is suspect: no new connections until it answers pool=a backend=10.0.0.1:5432"]);
    logged.stands(suspect, ready);
    logged.assert_lines(&["INFO A backend takes new connections again pool=a backend=10.0.0.1:5432"]);
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_is_suspect_now_and_then_is_summed_up() {
    let mut logged = Logged::new(&["a"]);
    let (ready, suspect) = (Standing::State(State::Ready), Standing::Suspect);
    for _ in 0..61 {
        logged.stands(ready, suspect);
        logged.stands(suspect, ready);
        logged.wait(Duration::from_secs(1)).await;
    }
    logged.assert_lines(&[
        "WARN A backend is suspect: no new connections until it answers",
        "INFO A backend takes new connections again",
        "WARN A backend is suspect: repeated 59 times in 60 s",
    ]);
    for _ in 0..130 {
        logged.wait(Duration::from_secs(1)).await;
    }
    assert!(logged.log.pool(&name("a")).misfits.is_empty(), "nothing stays of it");
}

#[tokio::test(start_paused = true)]
async fn a_host_that_cannot_probe_is_logged_once() {
    let mut logged = Logged::new(&["a"]);
    let pool = name("a");
    let local = || Err(ProbeError::Local(std::io::ErrorKind::AddrNotAvailable.into()));
    for outcome in [local(), local(), refused(), refused()] {
        logged.log.on(&Event::Probed { pool: &pool, backend: address(1), outcome: &outcome });
    }
    logged.assert_lines(&["WARN Backends cannot be probed from here", "INFO Backends can be probed again"]);
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_is_not_active_is_logged_once_per_change_and_repetitions_are_not() {
    let mut logged = Logged::new(&["a", "b"]);
    let one = set(&[State::Ready]);
    let mut refusing = applied("one");
    let disabled = Error::RouterDisabled { router: "b".to_owned(), reason: "no".to_owned() };
    refusing.faults.insert(name("b"), disabled);
    let (a, both) = (desired(&[("a", &one)]), desired(&[("a", &one), ("b", &one)]));
    for (desired, applied) in [(&a, &refusing), (&a, &refusing), (&both, &applied("one")), (&both, &applied("one"))] {
        logged.log.on(&Event::Pushed { desired, previous: &DesiredPools::new(), applied });
        logged.wait(Duration::from_secs(61)).await;
    }
    logged.assert_lines(&[
        "INFO Updated pool=a",
        "ERROR A pool is not active pool=b error=Traefik disabled router b: no kind=\"router disabled\"",
        "INFO The pool is active again pool=b",
        "INFO Updated pool=b",
    ]);
}

#[tokio::test(start_paused = true)]
async fn another_program_that_writes_is_logged_once_and_summed_up() {
    let mut logged = Logged::new(&["a", "b"]);
    let one = set(&[State::Ready]);
    let desired = desired(&[("a", &one), ("b", &one)]);
    logged.pushed(&desired);
    logged.lines.take();
    let overwritten = Error::Overwritten(applied("one").revision);
    logged.log.on(&Event::ProofLost { error: &overwritten });
    logged.pushed(&desired);
    logged.log.on(&Event::RivalFound);
    for _ in 0..10 {
        logged.log.on(&Event::ProofLost { error: &overwritten });
        logged.log.on(&Event::PushFailed { error: &overwritten });
        logged.pushed(&desired);
    }
    logged.assert_lines(&[
        "WARN Traefik's configuration is no longer verified: updating again",
        "INFO Traefik's configuration is verified again",
        "ERROR Another program writes to this Traefik",
    ]);
    logged.wait(Duration::from_secs(61)).await;
    logged.log.on(&Event::RivalGone);
    logged.assert_lines(&[
        "ERROR Another program writes to this Traefik: it has done so 20 times in 61 s",
        "INFO No other program writes to this Traefik any more",
    ]);
}

#[tokio::test(start_paused = true)]
async fn a_traefik_that_goes_away_is_logged_as_such_while_another_program_writes() {
    let mut logged = Logged::new(&["a"]);
    let desired = desired(&[("a", &set(&[State::Ready]))]);
    logged.pushed(&desired);
    logged.log.on(&Event::RivalFound);
    logged.lines.take();
    logged.log.on(&Event::ProofLost { error: &unreachable_traefik() });
    logged
        .assert_lines(&["WARN Traefik's configuration is no longer verified: updating again error=Traefik cannot be"]);
}

#[tokio::test(start_paused = true)]
async fn each_traefik_of_a_fleet_is_logged_when_it_fails_and_when_it_works_again() {
    let mut logged = Logged::new(&[]);
    let works = InstanceState::new(Some(Ok(applied("one"))));
    let fails = |error| InstanceState::new(Some(Err(error)));
    let mut with_rival = works.clone();
    with_rival.has_rival = true;
    let mut away_with_rival = fails(Error::NotReady("the test"));
    away_with_rival.has_rival = true;
    let states = [
        &InstanceState::new(None),
        &works,
        &fails(unreachable_traefik()),
        &fails(Error::Restarted),
        &works,
        &with_rival,
        &away_with_rival,
        &with_rival,
        &works,
    ];
    for state in states {
        logged.log.on(&Event::InstanceChanged { instance: "a:1", state: Some(state) });
    }
    logged.log.on(&Event::InstanceChanged { instance: "a:1", state: None });
    logged.assert_lines(&[
        "WARN A Traefik does not have the configuration traefik=\"a:1\" error=Traefik cannot be reached",
        "WARN A Traefik does not have the configuration traefik=\"a:1\" error=Traefik restarted",
        "INFO A Traefik has the configuration again traefik=\"a:1\"",
        "ERROR Another program writes to this Traefik traefik=\"a:1\"",
        "WARN A Traefik does not have the configuration traefik=\"a:1\"",
        "INFO A Traefik has the configuration again traefik=\"a:1\"",
        "INFO No other program writes to this Traefik any more traefik=\"a:1\"",
    ]);
    assert!(logged.log.instances.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_traefik_of_a_fleet_that_fails_now_and_then_is_summed_up() {
    let mut logged = Logged::new(&[]);
    let works = InstanceState::new(Some(Ok(applied("one"))));
    let fails = InstanceState::new(Some(Err(unreachable_traefik())));
    for _ in 0..61 {
        logged.log.on(&Event::InstanceChanged { instance: "a:1", state: Some(&fails) });
        logged.log.on(&Event::InstanceChanged { instance: "a:1", state: Some(&works) });
        logged.wait(Duration::from_secs(1)).await;
    }
    logged.assert_lines(&[
        "WARN A Traefik does not have the configuration",
        "INFO A Traefik has the configuration again",
        "WARN A Traefik does not have the configuration: repeated 59 times in 60 s",
    ]);
}

#[tokio::test(start_paused = true)]
async fn a_sibling_that_answers_is_lost_and_leaves_is_logged_and_its_failures_are_not() {
    let mut logged = Logged::new(&[]);
    let (address, replica) = (([10, 0, 1, 2], 8081).into(), ReplicaId::new(2));
    let problem = Problem::Status(404);
    let events = [
        SiblingEvent::AllAsked,
        SiblingEvent::Heard { address, replica },
        SiblingEvent::Failed { address, problem: problem.clone() },
        SiblingEvent::Lost { address, replica: Some(replica), problem },
        SiblingEvent::Left { address, replica: Some(replica) },
    ];
    for event in &events {
        logged.log.on(&Event::Sibling { event });
    }
    logged.assert_lines(&[
        "INFO A sibling answers: balancing together with it address=10.0.1.2:8081",
        "WARN A sibling does not answer: balancing without it until it does address=10.0.1.2:8081",
        "INFO A sibling has left, or has restarted address=10.0.1.2:8081",
    ]);
}

#[tokio::test(start_paused = true)]
async fn lines_that_the_log_has_lost_are_told_in_it_once_a_minute() {
    let (lines, _guard) = Lines::collect();
    let dropped = DroppedLines::default();
    let mut log = LogObserver::new(dropped.clone(), RepeatedLines::default());
    for second in 0..150 {
        if second < 30 {
            dropped.add_one();
        }
        advance(Duration::from_secs(1)).await;
        log.on(&Event::Alive);
    }
    assert_eq!(lines.take(), ["WARN Log lines were dropped: the reader of stderr does not keep up lines=30"]);
}
