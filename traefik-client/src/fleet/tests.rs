use std::{net::SocketAddr, sync::Mutex};

use tokio::time::Instant;

use super::*;
use crate::{BreakerState, FakeSink, Script};

const SECOND: Duration = Duration::from_secs(1);

fn fakes(labels: &[&str]) -> BTreeMap<String, Arc<FakeSink>> {
    labels.iter().map(|label| ((*label).to_owned(), Arc::default())).collect()
}

fn fleet(fakes: &BTreeMap<String, Arc<FakeSink>>) -> FleetBuilder {
    fakes.iter().fold(Fleet::builder(), |fleet, (label, fake)| fleet.sink(label.clone(), fake.clone()))
}

fn away() -> Script {
    Script::Fail(Error::unreachable("away"))
}

/// A configuration that differs from the others.
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
async fn a_restarted_or_overwritten_instance_is_put_right_within_the_interval() {
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
async fn a_fleet_of_none_is_an_error_that_may_pass() {
    let error = Fleet::builder().quorum(Quorum::AtLeast(0)).start().apply(&configuration("x")).await.unwrap_err();
    assert!(error.is_retryable() && error.to_string().contains("there is none"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn instances_come_and_go_with_the_addresses_of_a_name() {
    let address = |last: u8| SocketAddr::from(([127, 0, 0, last], 8080));
    let addresses = Arc::new(Mutex::new(vec![address(1), address(2)]));
    let fakes: Arc<Mutex<BTreeMap<SocketAddr, Arc<FakeSink>>>> = Arc::default();
    let (looked_up, made) = (addresses.clone(), fakes.clone());
    let name = dns::ResolvedName::with(
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
    let newcomer = || fakes.lock().unwrap()[&address(3)].in_force();
    until(|| newcomer() == Some(configuration("x"))).await;

    addresses.lock().unwrap().clear();
    tokio::time::sleep(SECOND * 3).await;
    assert_eq!(labels().len(), 2, "a look-up that fails changes nothing");
}
