//! A stopped Traefik costs bounded time, is reported, and gets the right configuration when it goes on.

use std::time::{Duration, Instant};

use ilb_testbed::{BareTraefik, eventually};
use ilb_traefik_client::{
    Applied, ConfigSink, Configuration, Error, Fleet, Member, Revision, TcpPool, Traefik, fleet::Quorum,
};
use rustix::process::Signal;

fn configuration(weight: u32) -> Configuration {
    let mut configuration = Configuration::default();
    let pool = TcpPool::new("pool".parse().unwrap(), "tcp".parse().unwrap());
    pool.member(Member::new("127.200.0.1:5000".parse().unwrap(), weight))
        .member(Member::new("127.200.0.2:5000".parse().unwrap(), 1))
        .add_to(&mut configuration);
    configuration
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_stopped_traefik_is_unreachable_in_time_and_right_after_it_goes_on() {
    let server = BareTraefik::builder().start().await.unwrap();
    let call_within = Duration::from_millis(500);
    let traefik = Traefik::builder(&server.url()).call_within(call_within).build().unwrap();
    let applied = traefik.apply(&configuration(1)).await.unwrap();

    server.signal(Signal::STOP).unwrap();
    let stopped = Instant::now();
    let error = traefik.apply(&configuration(2)).await.unwrap_err();
    println!("reported after {:?}: {error}", stopped.elapsed());
    assert!(matches!(&error, Error::Unreachable { reason, .. } if reason.contains("no answer in time")), "{error}");
    assert_eq!(traefik.verify(&applied).await.unwrap_err().kind(), "unreachable");

    server.signal(Signal::CONT).unwrap();
    let again = traefik.apply(&configuration(3)).await.unwrap();
    // The push that timed out may still arrive after this one; verification notices that, and a repetition repairs it.
    eventually("the last configuration stays in force", async || {
        if traefik.verify(&again).await.is_err() {
            traefik.apply(&configuration(3)).await?;
        }
        Ok(traefik.verify(&again).await?)
    })
    .await
    .unwrap();
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn in_a_fleet_a_stopped_and_a_killed_traefik_delay_no_other_and_follow_later() {
    let mut killed = BareTraefik::builder().start().await.unwrap();
    let stopped = BareTraefik::builder().start().await.unwrap();
    let healthy = BareTraefik::builder().start().await.unwrap();
    let mut fleet = Fleet::builder().quorum(Quorum::AtLeast(1)).check_every(Duration::from_millis(200));
    for server in [&killed, &stopped, &healthy] {
        fleet = fleet.instance(Traefik::builder(&server.url()).call_within(Duration::from_secs(2))).unwrap();
    }
    let fleet = fleet.start();
    fleet.apply(&configuration(1)).await.unwrap();
    all_have(&fleet, 1).await;

    killed.kill().unwrap();
    stopped.signal(Signal::STOP).unwrap();
    for weight in 2..10 {
        let called = Instant::now();
        let applied = fleet.apply(&configuration(weight)).await.unwrap();
        println!(
            "in force in {} after {:?}, seen by the caller after {:?}",
            applied.instance.as_deref().unwrap_or_default(),
            applied.took,
            called.elapsed()
        );
        assert_eq!(applied.instance.as_deref(), Some(healthy.url().trim_start_matches("http://")));
        assert!(applied.others.iter().all(|(_, outcome)| outcome.is_err()));
    }

    killed.restart().await.unwrap();
    stopped.signal(Signal::CONT).unwrap();
    all_have(&fleet, 9).await;
}

async fn all_have(fleet: &Fleet, weight: u32) {
    let revision = Revision::from(&configuration(weight));
    eventually("all instances have the configuration", async || {
        let states = fleet.instances();
        let right = |applied: &Applied| applied.revision == revision;
        anyhow::ensure!(states.iter().all(|(_, state)| state.applied.as_ref().is_some_and(right)), "{states:?}");
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_fleet_by_name_reaches_the_traefik_behind_it() {
    let server = BareTraefik::builder().start().await.unwrap();
    // An address resolves to itself; a name with several addresses is tested in the crate, where look-ups are scripted.
    let fleet = Fleet::builder().resolved(Traefik::builder(&server.url())).unwrap().start();
    let applied = fleet.apply(&configuration(1)).await.unwrap();
    fleet.verify(&applied).await.unwrap();
    assert_eq!(fleet.instances()[0].0, format!("{}:8080", server.host()));
}
