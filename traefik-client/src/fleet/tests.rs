//! Tests of the fleet, with fake Traefiks and paused time.

use std::{
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use proptest::prelude::*;
use tokio::time::Instant;

use super::{dns::ResolvedName, *};
use crate::{
    breaker::{Breaker, BreakerState},
    fake::{FakeSink, Script},
};

const SECOND: Duration = Duration::from_secs(1);

fn fakes(labels: &[&str]) -> BTreeMap<String, Arc<FakeSink>> {
    labels.iter().map(|label| ((*label).to_owned(), Arc::default())).collect()
}

fn fleet(fakes: &BTreeMap<String, Arc<FakeSink>>) -> FleetBuilder {
    fakes.iter().fold(Fleet::builder(), |fleet, (label, fake)| fleet.sink(label.clone(), fake.clone()))
}

fn away_error() -> Error {
    Error::unreachable("away")
}

fn away() -> Script {
    Script::Fail(away_error())
}

/// Returns a configuration that differs from those of other names.
fn configuration(name: &str) -> Configuration {
    let mut configuration = Configuration::default();
    crate::TcpPool::new(name.parse().unwrap(), "tcp".parse().unwrap()).add_to(&mut configuration);
    configuration
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_configuration_reaches_all_instances() {
    let fakes = fakes(&["a", "b", "c"]);
    let fleet = fleet(&fakes).start();
    let applied = fleet.apply(&configuration("x")).await.unwrap();
    assert_eq!(applied.others.iter().map(|(label, _)| label.as_str()).collect::<Vec<_>>(), ["b", "c"]);
    assert!(fakes.values().all(|fake| fake.in_force() == Some(configuration("x"))));
    fleet.verify(&applied).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_hanging_instance_delays_no_other_and_is_named() {
    let fakes = fakes(&["a", "b"]);
    fakes["b"].script([Script::Hang]);
    let fleet = fleet(&fakes).start();
    let called = Instant::now();
    let error = fleet.apply(&configuration("x")).await.unwrap_err();
    assert!(called.elapsed() < SECOND);
    assert!(matches!(&error, Error::Fleet { failed, of: 2 } if failed.len() == 1 && failed[0].0 == "b"), "{error}");
    let called = Instant::now();
    fleet.apply(&configuration("y")).await.unwrap_err();
    assert_eq!(called.elapsed(), Duration::ZERO, "it is known to be behind");
    assert_eq!(fakes["a"].in_force(), Some(configuration("y")));
}

#[tokio::test(start_paused = true)]
async fn with_a_quorum_the_rest_is_reported_and_follows_in_the_background() {
    let fakes = fakes(&["a", "b"]);
    fakes["a"].script(vec![away(); 10]);
    let fleet = fleet(&fakes).quorum(Quorum::AtLeast(1)).start();
    let applied = fleet.apply(&configuration("x")).await.unwrap();
    assert!(matches!(&applied.others[..], [(label, Err(Error::Unreachable { .. }))] if label == "a"));
    until(|| fakes["a"].in_force() == Some(configuration("x"))).await;
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_keeps_failing_is_not_waited_for_and_gets_the_latest_configuration_in_the_end() {
    let fakes = fakes(&["a", "b"]);
    fakes["b"].script(vec![away(); 8]);
    let fleet = fleet(&fakes).start();
    fleet.apply(&configuration("x")).await.unwrap_err();
    until(|| matches!(fleet.instances()[1].1.breaker, BreakerState::Open { .. })).await;
    let called = Instant::now();
    fleet.apply(&configuration("y")).await.unwrap_err();
    assert!(called.elapsed() < Duration::from_millis(300), "{:?}", called.elapsed());
    until(|| fakes["b"].in_force() == Some(configuration("y"))).await;
    assert!(!fakes["b"].seen().iter().rev().take(1).any(|seen| *seen == configuration("x")));
}

#[tokio::test(start_paused = true)]
async fn a_restarted_or_overwritten_instance_is_configured_again_within_the_interval() {
    let fakes = fakes(&["a"]);
    let fleet = fleet(&fakes).check_every(SECOND).start();
    let applied = fleet.apply(&configuration("x")).await.unwrap();
    for spoil in [|fake: &FakeSink| fake.restart(), |fake: &FakeSink| fake.overwrite(configuration("z"))] {
        spoil(&fakes["a"]);
        assert!(fleet.verify(&applied).await.is_err());
        let spoilt = Instant::now();
        until(|| fakes["a"].in_force() == Some(configuration("x"))).await;
        assert!(spoilt.elapsed() <= SECOND + Duration::from_millis(20));
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_configuration_is_sent_to_nobody_again_while_an_instance_is_away() {
    let fakes = fakes(&["a", "b"]);
    fakes["b"].script(vec![away(); 100]);
    let fleet = fleet(&fakes).start();
    for _ in 0..50 {
        fleet.apply(&configuration("x")).await.unwrap_err();
        tokio::time::sleep(SECOND / 2).await;
    }
    assert_eq!(fakes["a"].seen(), [configuration("x")]);
    let tries = fakes["b"].seen().len();
    assert!((3..15).contains(&tries), "{tries} tries in 25 s");
}

#[tokio::test(start_paused = true)]
async fn a_router_is_in_force_if_as_many_instances_have_it_as_the_quorum_asks_for() {
    let router = |text: &str| text.parse::<Name>().unwrap();
    let missing = |text: &str| Error::EntryPointMissing { missing: vec![text.to_owned()], known: Vec::new() };
    for (quorum, expected) in [(Quorum::AtLeast(1), vec![]), (Quorum::All, vec!["x"])] {
        let fakes = fakes(&["a", "b"]);
        fakes["b"].script([Script::SucceedExcept([(router("x"), missing("tcp"))].into())]);
        let fleet = fleet(&fakes).quorum(quorum).start();
        let applied = fleet.apply(&configuration("x")).await.unwrap();
        assert_eq!(applied.faults.keys().map(Name::as_str).collect::<Vec<_>>(), expected);
        let [(_, b)] = &applied.others[..] else { panic!("{applied:?}") };
        assert_eq!(b.as_ref().unwrap().faults.len(), 1, "its own fault is shown");
    }
}

#[tokio::test(start_paused = true)]
async fn a_router_with_a_fault_is_tried_again_with_growing_pauses() {
    let fakes = fakes(&["a"]);
    let fault = Error::RouterDisabled { router: "x".to_owned(), reason: "no".to_owned() };
    let faults: BTreeMap<Name, Error> = [("x".parse().unwrap(), fault)].into();
    fakes["a"].script(vec![Script::SucceedExcept(faults); 5]);
    let fleet = fleet(&fakes).start();
    assert_eq!(fleet.apply(&configuration("x")).await.unwrap().faults.len(), 1);
    let started = Instant::now();
    until(|| fleet.instances()[0].1.applied.as_ref().is_some_and(|applied| applied.faults.is_empty())).await;
    assert!(started.elapsed() > SECOND * (1 + 2 + 4 + 8), "{:?}", started.elapsed());
    assert_eq!(fakes["a"].seen().len(), 6);
    assert_eq!(fleet.apply(&configuration("x")).await.unwrap().faults.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_rival_is_shown_counts_as_no_proof_and_is_answered_ever_more_slowly() {
    let fakes = fakes(&["a"]);
    let fleet = fleet(&fakes).start();
    let applied = fleet.apply(&configuration("x")).await.unwrap();
    let has_rival = || fleet.instances()[0].1.has_rival;
    let (started, mut writes) = (Instant::now(), 0);
    while started.elapsed() < SECOND * 120 {
        fakes["a"].overwrite(configuration("foreign"));
        writes += 1;
        until(|| fakes["a"].in_force() == Some(configuration("x"))).await;
        assert!(writes < 3 || has_rival());
    }
    assert!(writes < 15, "{writes} writes in two minutes");
    assert!(matches!(fleet.apply(&configuration("x")).await, Err(Error::Fleet { .. })));
    assert!(fleet.verify(&applied).await.is_err());
    until(|| !has_rival()).await;
    fleet.verify(&fleet.apply(&configuration("x")).await.unwrap()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn each_change_of_an_instance_is_in_the_stream() {
    let fakes = fakes(&["a", "b"]);
    fakes["b"].script([away()]);
    let fleet = fleet(&fakes).start();
    let mut changes = fleet.watch_instances();
    let mut next = async || {
        let change = timeout(SECOND * 60, changes.next()).await.expect("there is a change").unwrap();
        let state = change.state.unwrap();
        (change.instance, state.applied.is_some(), state.error.is_some())
    };
    let (a, b) = ("a".to_owned(), "b".to_owned());
    assert_eq!([next().await, next().await], [(a.clone(), false, false), (b.clone(), false, false)]);
    let _ = fleet.apply(&configuration("x")).await;
    assert_eq!([next().await, next().await], [(a.clone(), true, false), (b.clone(), false, true)]);
    assert_eq!(next().await, (b, true, false));
    fakes["a"].script([away()]);
    fakes["a"].restart();
    assert_eq!(next().await, (a.clone(), false, true));
    assert_eq!(next().await, (a, true, false));
    drop(fleet);
    assert_eq!(changes.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn the_pools_of_a_fleet_are_those_of_the_instances_that_can_be_asked() {
    let fakes = fakes(&["a", "b"]);
    let mut pool = Configuration::default();
    let member = Member::new("10.0.0.1:1".parse().unwrap(), 3);
    let x = crate::TcpPool::new("x".parse().unwrap(), "tcp".parse().unwrap()).member(member);
    x.add_to(&mut pool);
    fakes["b"].overwrite(pool);
    let fleet = fleet(&fakes).start();
    assert_eq!(fleet.pools_in_force().await.unwrap(), [("x".parse().unwrap(), vec![member])].into());
}

/// Returns a configuration of these pools.
fn pools(names: &[&str]) -> Configuration {
    let mut all = Configuration::default();
    for name in names {
        let pool = crate::TcpPool::new(name.parse().unwrap(), "tcp".parse().unwrap());
        pool.member(Member::new("10.0.0.1:1".parse().unwrap(), 3)).add_to(&mut all);
    }
    all
}

/// Starts a fleet of two of which `a`, which has the pool `x`, cannot be asked for its pools, and lets `y` come into force.
/// Then `a` can be reached.
async fn with_one_that_could_not_be_asked() -> (BTreeMap<String, Arc<FakeSink>>, Fleet) {
    let fakes = fakes(&["a", "b"]);
    fakes["a"].overwrite(pools(&["x"]));
    fakes["a"].set_away(true);
    let fleet = fleet(&fakes).quorum(Quorum::AtLeast(1)).start();
    assert_eq!(fleet.pools_in_force().await.unwrap(), BTreeMap::new());
    fleet.apply(&pools(&["y"])).await.unwrap();
    fakes["a"].set_away(false);
    (fakes, fleet)
}

fn has_more_pools(fleet: &Fleet) -> bool {
    fleet.instances()[0].1.has_more_pools
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_could_not_be_asked_for_its_pools_is_asked_before_it_is_configured() {
    let (fakes, fleet) = with_one_that_could_not_be_asked().await;
    until(|| has_more_pools(&fleet)).await;
    assert_eq!(fakes["a"].in_force(), Some(pools(&["x"])));
    assert!(fleet.pools_in_force().await.unwrap().contains_key("x"));
    fleet.apply(&pools(&["x", "y"])).await.unwrap();
    until(|| fakes["a"].in_force() == Some(pools(&["x", "y"]))).await;
    assert!(!has_more_pools(&fleet) && !fakes["a"].seen().contains(&pools(&["y"])));
}

#[tokio::test(start_paused = true)]
async fn an_instance_with_pools_that_nobody_adds_is_configured_after_a_while() {
    let (fakes, fleet) = with_one_that_could_not_be_asked().await;
    until(|| has_more_pools(&fleet)).await;
    let since = Instant::now();
    until(|| fakes["a"].in_force() == Some(pools(&["y"]))).await;
    assert!(since.elapsed() >= SECOND * 2 && !has_more_pools(&fleet));
    fakes["a"].restart();
    until(|| fakes["a"].in_force() == Some(pools(&["y"]))).await;
    assert!(!has_more_pools(&fleet));
}

#[tokio::test(start_paused = true)]
async fn times_beyond_every_clock_are_survived() {
    let fakes = fakes(&["a", "b"]);
    let builder = fleet(&fakes).patience(Duration::MAX).check_every(Duration::MAX).resolve_every(Duration::MAX);
    let fleet = builder.start();
    let applied = fleet.apply(&configuration("one")).await.unwrap();
    fleet.verify(&applied).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_empty_fleet_is_a_retryable_error() {
    let error = Fleet::builder().quorum(Quorum::AtLeast(0)).start().apply(&configuration("x")).await.unwrap_err();
    assert!(error.is_retryable() && error.to_string().contains("there is none"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn instances_join_and_leave_with_the_addresses_of_a_name() {
    let address = |last: u8| SocketAddr::from(([127, 0, 0, last], 8080));
    let addresses = Arc::new(Mutex::new(vec![address(1), address(2)]));
    let fakes: Arc<Mutex<BTreeMap<SocketAddr, Arc<FakeSink>>>> = Arc::default();
    let (looked_up, made) = (addresses.clone(), fakes.clone());
    let name = ResolvedName::with_lookup(
        move || {
            let addresses = looked_up.lock().unwrap().clone();
            let empty = std::io::Error::other("no such name");
            Box::pin(std::future::ready(if addresses.is_empty() { Err(empty) } else { Ok(addresses) }))
        },
        move |address| Ok(made.lock().unwrap().entry(address).or_default().clone()),
    );
    let fleet = Fleet::builder().resolved_by(name).resolve_every(SECOND).start();
    let labels = || fleet.instances().into_iter().map(|(label, _)| label).collect::<Vec<_>>();
    fleet.apply(&configuration("x")).await.unwrap();
    assert_eq!(labels(), ["127.0.0.1:8080", "127.0.0.2:8080"]);

    *addresses.lock().unwrap() = vec![address(2), address(3)];
    until(|| labels() == ["127.0.0.2:8080", "127.0.0.3:8080"]).await;
    let joined = || fakes.lock().unwrap()[&address(3)].in_force();
    until(|| joined() == Some(configuration("x"))).await;

    addresses.lock().unwrap().clear();
    tokio::time::sleep(SECOND * 3).await;
    assert_eq!(labels().len(), 2, "a failed lookup changes nothing");
}

#[tokio::test(start_paused = true)]
async fn a_configuration_is_applied_once_and_then_only_checked() {
    let fakes = fakes(&["a"]);
    let fleet = fleet(&fakes).start();
    fleet.apply(&configuration("x")).await.unwrap();
    tokio::time::sleep(SECOND * 10).await;
    assert_eq!(fakes["a"].seen(), [configuration("x")]);
}

#[tokio::test(start_paused = true)]
async fn a_newer_configuration_survives_the_success_and_the_failure_of_an_older_attempt() {
    for older in [Script::SucceedAfter(SECOND), Script::FailAfter(SECOND, away_error())] {
        let fakes = fakes(&["a"]);
        fakes["a"].script([older]);
        let fleet = fleet(&fakes).start();
        let (x, y) = (configuration("x"), configuration("y"));
        let later = async {
            tokio::time::sleep(SECOND / 2).await;
            let called = Instant::now();
            fleet.apply(&y).await.unwrap();
            assert_eq!(called.elapsed(), SECOND / 2, "it is applied as soon as the older attempt has ended");
        };
        let _ = tokio::join!(fleet.apply(&x), later);
        assert_eq!(fakes["a"].seen(), [x, y.clone()]);
        assert_eq!(fakes["a"].in_force(), Some(y));
    }
}

/// A sink that fails the test if two calls of `apply` overlap.
#[derive(Default)]
struct Exclusive {
    fake: FakeSink,
    is_busy: AtomicBool,
}

#[async_trait]
impl ConfigSink for Exclusive {
    async fn apply(&self, configuration: &Configuration) -> Result<Applied, Error> {
        assert!(!self.is_busy.swap(true, Ordering::Relaxed), "two attempts overlap");
        tokio::time::sleep(Duration::from_millis(20)).await;
        let outcome = self.fake.apply(configuration).await;
        self.is_busy.store(false, Ordering::Relaxed);
        outcome
    }

    async fn verify(&self, applied: &Applied) -> Result<(), Error> {
        self.fake.verify(applied).await
    }
}

#[derive(Clone, Debug)]
enum Event {
    Apply(u8),
    Fail,
    FailButApply,
    Restart,
    Overwrite,
    Later(u64),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        any::<u8>().prop_map(Event::Apply),
        Just(Event::Fail),
        Just(Event::FailButApply),
        Just(Event::Restart),
        Just(Event::Overwrite),
        (0..20_000_u64).prop_map(Event::Later),
    ];
    prop::collection::vec(event, 0..30)
}

proptest! {
    #[test]
    fn the_latest_configuration_is_never_lost_and_attempts_never_overlap(events in events(), last in any::<u8>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
        runtime.block_on(async {
            let sink = Arc::new(Exclusive::default());
            let fleet = Fleet::builder().sink("a".to_owned(), sink.clone()).start();
            let count = events.len();
            let named = |number: u8| configuration(&format!("x{number}"));
            for event in events.into_iter().chain([Event::Apply(last)]) {
                match event {
                    // The caller gives up at once, the fleet does not.
                    Event::Apply(number) => drop(timeout(Duration::ZERO, fleet.apply(&named(number))).await),
                    Event::Fail => sink.fake.script([away()]),
                    Event::FailButApply => sink.fake.script([Script::FailButApply(away_error())]),
                    Event::Restart => sink.fake.restart(),
                    Event::Overwrite => sink.fake.overwrite(configuration("foreign")),
                    Event::Later(milliseconds) => tokio::time::sleep(Duration::from_millis(milliseconds)).await,
                }
            }
            // Each of the scripted failures costs at most a pause and an interval between checks.
            let most = (Breaker::LONGEST_PAUSE * 2 + SECOND) * u32::try_from(count + 1).unwrap();
            let in_force = timeout(most, until(|| sink.fake.in_force() == Some(named(last)))).await;
            prop_assert!(in_force.is_ok(), "{:?}", fleet.instances());
            Ok(())
        })?;
    }
}
