//! The configuration is in force again soon after a killed Traefik is back, even if it was killed during a push.

use std::time::{Duration, Instant};

use ilb_testbed::BareTraefik;
use ilb_traefik_client::{ConfigSink, Configuration, Member, TcpPool, Traefik, breaker::Breaker};
use tokio::time::sleep;

const KILLS: u32 = 50;

fn configuration(round: u32) -> Configuration {
    let mut configuration = Configuration::default();
    let members = (1..=100).map(|last: u8| Member::new(([127, 200, 0, last], 5000).into(), 1 + round % 7));
    TcpPool::new("pool".parse().unwrap(), "tcp".parse().unwrap()).members(members).add_to(&mut configuration);
    configuration
}

/// Applies `configuration` with the pauses of a circuit breaker until it is in force.
async fn apply_until_in_force(traefik: &Traefik, configuration: &Configuration) {
    let mut breaker = Breaker::new();
    while let Err(error) = traefik.apply(configuration).await {
        assert!(error.is_retryable(), "{error}");
        breaker.failed(Instant::now());
        if let Some(until) = breaker.paused_until(Instant::now()) {
            tokio::time::sleep_until(until.into()).await;
        }
    }
}

/// Returns pseudo-random pauses, the same in each run (a linear congruential generator).
fn milliseconds() -> impl Iterator<Item = u64> {
    let mut state = 42_u64;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % 60
    })
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn fifty_kills_at_random_points_are_all_survived() {
    let mut server = BareTraefik::builder().start().await.unwrap();
    let traefik = Traefik::try_new(&server.url()).unwrap();
    let mut times = Vec::new();
    for (round, pause) in (0..KILLS).zip(milliseconds()) {
        let configuration = configuration(round);
        // The kill comes anywhere between the first byte of the push and its proof, or after it.
        let push = async { drop(traefik.apply(&configuration).await) };
        tokio::join!(push, async {
            sleep(Duration::from_millis(pause)).await;
            server.kill().unwrap();
        });
        server.spawn().unwrap();
        let back = Instant::now();
        apply_until_in_force(&traefik, &configuration).await;
        times.push(back.elapsed());
        let services = server.api("tcp/services?per_page=1000").await.unwrap();
        assert_eq!(services.as_array().unwrap().len(), 102, "100 backends, their parent and the marker");
    }
    times.sort_unstable();
    println!(
        "in force again after the start of the process, {KILLS} times: median {:?}, worst {:?}",
        times[times.len() / 2],
        times[times.len() - 1]
    );
}
