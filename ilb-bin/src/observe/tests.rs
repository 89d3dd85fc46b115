//! Tests of what is logged.

use std::{
    io,
    sync::{Arc, Mutex},
};

use ilb_connections::ProbeError;
use ilb_controller::{Desired, DesiredPools, Event, Observer, PoolSpec};
use ilb_discovery::{BackendSet, State};
use ilb_reconciler::{
    Decision,
    decision::{Evidence, Standing},
    least_connections::StandingChange,
};
use ilb_traefik_client::{Applied, Error, Revision, fleet::InstanceState};

use super::{
    insight::{
        Reload,
        tests::{address, applied, round_robin, set, unreachable_traefik},
    },
    log::LogObserver,
    *,
};

/// Collects log lines.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn each_event_of_the_settings_file_is_logged_and_counted_once() {
    let insight = Insight::new();
    let observer = SettingsObserver::new(insight.clone());
    let lines = logged(|| {
        let (added, removed) = (["a".parse().unwrap(), "b".parse().unwrap()], ["c".parse().unwrap()]);
        observer.on(&SettingsEvent::Applied { added: &added, removed: &removed, pending: &["log.format"] });
        observer.on(&SettingsEvent::Refused { problems: "ilb.yaml:1: no" });
        observer.on(&SettingsEvent::Restored);
    });
    insight.read(|facts| {
        assert_eq!(facts.reloads.counts, [(Reload::Applied, 2), (Reload::Refused, 1)].into());
        assert_eq!(facts.reloads.last, Some(Reload::Applied));
    });
    let expected = [
        (" INFO", "Settings changed pools=\"a, b\" removed=\"c\""),
        (" WARN", "These settings take effect at the next start"),
        ("ERROR", "Settings refused: the previous settings stay in effect problems=\"ilb.yaml:1: no\""),
        (" INFO", "The settings file is valid again"),
    ];
    assert_lines(&lines, &expected);
}

#[tokio::test(start_paused = true)]
async fn each_change_of_a_backends_standing_is_one_line_with_the_evidence_and_a_probe_is_none() {
    let (mut log, pool) = (LogObserver::new(), "a".parse().unwrap());
    let backend = address(1);
    let lines = logged(|| {
        let mut changed = |from, to, evidence| {
            let change = StandingChange::new(backend, from, to, evidence);
            log.on(&Event::StandingChanged { pool: &pool, change: &change });
        };
        changed(Standing::State(State::Ready), Standing::Suspect, Some(Evidence::NoAnswer));
        changed(Standing::Suspect, Standing::State(State::Ready), None);
        changed(Standing::State(State::Ready), Standing::Failing, Some(Evidence::ClosedProbe));
        changed(Standing::Failing, Standing::State(State::Draining), None);
        for _ in 0..3 {
            let unanswered = Err(ProbeError::Backend(io::ErrorKind::TimedOut.into()));
            log.on(&Event::Probed { pool: &pool, backend, outcome: &unanswered });
        }
    });
    let expected = [
        (
            " WARN",
            "A backend is suspect: no new connections until it answers pool=a backend=10.0.0.1:5432 evidence=\"does not answer\"",
        ),
        (" INFO", "A backend takes new connections again pool=a backend=10.0.0.1:5432 before=suspect"),
        (
            " WARN",
            "A backend is failing: few new connections until it works pool=a backend=10.0.0.1:5432 evidence=\"closes connections at once\"",
        ),
        (" INFO", "A backend is no longer ready pool=a backend=10.0.0.1:5432 before=failing now=draining"),
    ];
    assert_lines(&lines, &expected);
}

/// Returns the lines that `work` logs.
fn logged(work: impl FnOnce()) -> Vec<String> {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().without_time().with_ansi(false).with_writer(move || writer.clone());
    tracing::subscriber::with_default(subscriber.finish(), work);
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn assert_lines(lines: &[String], expected: &[(&str, &str)]) {
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, (level, text)) in lines.iter().zip(expected) {
        assert!(line.starts_with(level) && line.contains(text), "{line}, not {text}");
    }
}

/// Two pools and the log of their pushes.
struct Pushes {
    log: LogObserver,
    pools: [(Arc<PoolSpec>, Arc<BackendSet>, Arc<Decision>); 2],
    previous: DesiredPools,
}

impl Pushes {
    fn new() -> Self {
        let pool = |name: &str| {
            let backends = set(&[State::Ready]);
            let spec = PoolSpec::new(name.parse().unwrap(), name.parse().unwrap());
            (Arc::new(spec), Arc::clone(&backends), round_robin(&backends))
        };
        Self { log: LogObserver::new(), pools: [pool("a"), pool("b")], previous: DesiredPools::new() }
    }

    /// Reports a push that puts the pools in force that `applied` does not name.
    fn pushed(&mut self, applied: &Applied) {
        let desired: DesiredPools = self
            .pools
            .iter()
            .filter(|(spec, ..)| !applied.faults.contains_key(&spec.name))
            .map(|(spec, set, decision)| (spec.name.clone(), Desired::new(spec.clone(), set.clone(), decision.clone())))
            .collect();
        self.log.on(&Event::Pushed { desired: &desired, previous: &self.previous, applied });
        self.previous = desired;
    }

    fn lost(&mut self, error: &Error) {
        self.log.on(&Event::ProofLost { error });
    }
}

fn overwritten() -> Error {
    Error::Overwritten(Revision::from(&ilb_traefik_client::Configuration::default()))
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_is_not_active_is_logged_once_per_change_and_repetitions_are_not() {
    let mut pushes = Pushes::new();
    let mut refusing = applied("one");
    let disabled = Error::RouterDisabled { router: "b".to_owned(), reason: "no".to_owned() };
    refusing.faults.insert("b".parse().unwrap(), disabled);
    let lines = logged(|| {
        for _ in 0..3 {
            pushes.pushed(&refusing);
        }
        for _ in 0..3 {
            pushes.pushed(&applied("one"));
        }
    });
    assert_lines(
        &lines,
        &[
            (" INFO", "Updated pool=a"),
            ("ERROR", "A pool is not active pool=b error=Traefik disabled router b: no kind=\"router disabled\""),
            (" INFO", "The pool is active again pool=b"),
            (" INFO", "Updated pool=b"),
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn a_repair_adds_no_backend() {
    let mut pushes = Pushes::new();
    let lines = logged(|| {
        pushes.pushed(&applied("one"));
        pushes.lost(&Error::Restarted);
        pushes.pushed(&applied("two"));
    });
    assert_lines(
        &lines,
        &[
            (" INFO", "added=1"),
            (" INFO", "added=1"),
            (" WARN", "no longer verified: updating again"),
            (" INFO", "Updated pool=a"),
            (" INFO", "Updated pool=b"),
        ],
    );
    assert!(lines[3].contains("added=0"), "{}", lines[3]);
}

#[tokio::test(start_paused = true)]
async fn another_program_that_writes_is_logged_once_and_summed_up() {
    let mut pushes = Pushes::new();
    logged(|| pushes.pushed(&applied("one")));
    let begun = logged(|| {
        pushes.lost(&overwritten());
        pushes.pushed(&applied("one"));
        pushes.log.on(&Event::RivalFound);
        for _ in 0..10 {
            pushes.lost(&overwritten());
            pushes.log.on(&Event::PushFailed { error: &overwritten() });
            pushes.pushed(&applied("one"));
        }
    });
    let another = ("ERROR", "Another program writes to this Traefik");
    let updated = (" INFO", "Updated");
    assert_lines(&begun, &[(" WARN", "no longer verified"), updated, updated, another]);
    tokio::time::advance(std::time::Duration::from_secs(61)).await;
    let later = logged(|| {
        pushes.lost(&overwritten());
        pushes.pushed(&applied("one"));
        pushes.log.on(&Event::RivalGone);
    });
    assert_lines(
        &later,
        &[("ERROR", "21 times in 61 s"), (" INFO", "No other program writes to this Traefik any more")],
    );
}

#[test]
fn each_traefik_of_a_fleet_is_logged_when_it_fails_and_when_it_works_again() {
    let mut log = LogObserver::new();
    let mut on = |state: Option<&InstanceState>| log.on(&Event::InstanceChanged { instance: "a:1", state });
    let works = InstanceState::new(Some(Ok(applied("one"))));
    let mut with_rival = works.clone();
    with_rival.has_rival = true;
    let lines = logged(|| {
        on(Some(&InstanceState::new(None)));
        on(Some(&works));
        on(Some(&InstanceState::new(Some(Err(unreachable_traefik())))));
        on(Some(&InstanceState::new(Some(Err(Error::Restarted)))));
        on(Some(&works));
        on(Some(&with_rival));
        on(Some(&with_rival));
        on(Some(&works));
        on(None);
    });
    assert_lines(
        &lines,
        &[
            (" WARN", "A Traefik does not have the configuration traefik=\"a:1\""),
            (" INFO", "A Traefik has the configuration again traefik=\"a:1\""),
            ("ERROR", "Another program writes to this Traefik traefik=\"a:1\""),
            (" INFO", "No other program writes to this Traefik any more traefik=\"a:1\""),
        ],
    );
}
