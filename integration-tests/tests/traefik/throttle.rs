//! `apply` waits until a Traefik with a throttle has the configuration in force, and returns how long that was.

use std::time::{Duration, Instant};

use ilb_testbed::BareTraefik;
use ilb_traefik_client::{ConfigSink, Configuration, Error, Member, Revision, TcpPool, Traefik};

fn configuration(weight: u32) -> Configuration {
    let mut configuration = Configuration::default();
    TcpPool::new("pool".parse().unwrap(), "tcp".parse().unwrap())
        .members([1, 2].map(|last: u8| Member::new(([127, 200, 0, last], 5000).into(), weight + u32::from(last))))
        .add_to(&mut configuration);
    configuration
}

async fn waits_for_the_truth(throttle: &'static str, duration: Duration) {
    let server = BareTraefik::builder().throttle(throttle).start().await.unwrap();
    let traefik = Traefik::builder(&server.url()).throttle(duration).build().unwrap();
    traefik.apply(&configuration(1)).await.unwrap();
    let called = Instant::now();
    let applied = traefik.apply(&configuration(2)).await.unwrap();
    println!("throttle {throttle}: in force after {:?}, of which Traefik waited {:?}", applied.took, applied.waited);
    assert!(called.elapsed() >= applied.waited && applied.waited > duration / 2, "nothing was throttled");
    // The proof is Traefik's own answer at this moment.
    let marker = format!("tcp/services/{}@rest", Revision::from(&configuration(2)).name());
    server.api(&marker).await.unwrap();
    // Keeping a configuration in force does not open another window.
    let beat = Instant::now();
    traefik.keep_in_force(&configuration(2), &applied).await.unwrap();
    assert!(beat.elapsed() < duration / 2);
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn with_a_throttle_of_2_seconds_apply_waits_for_the_truth() {
    waits_for_the_truth("2s", Duration::from_secs(2)).await;
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn with_a_throttle_of_10_seconds_apply_waits_for_the_truth() {
    waits_for_the_truth("10s", Duration::from_secs(10)).await;
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_throttle_that_is_not_configured_in_the_client_is_an_error_that_names_it() {
    let server = BareTraefik::builder().throttle("10s").start().await.unwrap();
    let traefik = Traefik::builder(&server.url()).proof_within(Duration::from_secs(1)).build().unwrap();
    traefik.apply(&configuration(1)).await.unwrap();
    let error = traefik.apply(&configuration(2)).await.unwrap_err();
    assert!(matches!(error, Error::NotApplied { looks_dead: true, .. }), "{error}");
    assert!(error.to_string().contains("its throttle is longer than that"), "{error}");
    assert!(error.is_retryable());
}
