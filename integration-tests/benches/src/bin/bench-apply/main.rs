//! Measures the time of a configuration from the call of `apply` to its proof, beside the least that any client can do, on a
//! real Traefik without throttle. Writes `target/bench/apply.json`.

mod durations;
mod floor;

use std::{alloc::System, time::Duration};

use durations::{Durations, Row, Summary};
use floor::Floor;
use ilb_benches::results;
use ilb_testbed::BareTraefik;
use ilb_traefik_client::{Certificate, ConfigSink, Configuration, Member, Revision, TcpPool, Traefik};
use rcgen::{CertificateParams, KeyPair};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static MEMORY: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Numbers of backends, and the rounds of each.
const BACKENDS_AND_ROUNDS: [(u16, u32); 5] = [(3, 200), (10, 200), (100, 200), (1_000, 100), (10_000, 15)];

fn main() -> anyhow::Result<()> {
    // One thread, as ilb has.
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure())
}

async fn measure() -> anyhow::Result<()> {
    let server = BareTraefik::builder().start().await?;
    let traefik = Traefik::builder(&server.url()).call_within(Duration::from_secs(20)).build()?;
    let mut floor = Floor::connect((server.host(), 8080).into())?;
    let certificate = certificate()?;
    let mut durations = Durations::default();
    for (backends, rounds) in BACKENDS_AND_ROUNDS {
        eprintln!("bench-apply: {backends} backends, {rounds} rounds");
        let (mut apply, mut least, mut bytes, mut memory) = (Vec::new(), Vec::new(), 0, (0, 0));
        // In turn, so that both are measured under the same conditions; the first pair warms up.
        for round in 0..=rounds {
            let with_certificate = |round| configuration(backends, round, Some(&certificate));
            let desired = with_certificate(2 * round)?;
            let region = Region::new(MEMORY);
            let took = traefik.apply(&desired).await?.took;
            let used = region.change();
            memory = (used.allocations + used.reallocations, used.bytes_allocated);
            let desired = with_certificate(2 * round + 1)?;
            let (body, marker) = marked(&desired)?;
            bytes = body.len();
            let floor_took = floor.measure(body.as_bytes(), &marker)?;
            if round > 0 {
                apply.push(took);
                least.push(floor_took);
            }
        }
        let mut without = Vec::new();
        for round in 0..rounds.min(20) {
            without.push(traefik.apply(&configuration(backends, round, None)?).await?.took);
        }
        let (apply_ms, floor_ms) = (Summary::from_samples(apply), Summary::from_samples(least));
        durations.backends.insert(
            backends,
            Row {
                ratio: (apply_ms.p50 / floor_ms.p50 * 100.0).round() / 100.0,
                apply_ms,
                floor_ms,
                apply_without_certificate_ms: Summary::from_samples(without).p50,
                bytes,
                allocations: memory.0,
                allocated_bytes: memory.1,
            },
        );
    }
    let path = results::write("apply", &durations)?;
    println!("{durations}written to {}", path.display());
    Ok(())
}

/// Creates a configuration with the weights of `round`, so that each round is a change.
fn configuration(backends: u16, round: u32, certificate: Option<&Certificate>) -> anyhow::Result<Configuration> {
    let mut configuration = Configuration::default();
    let members = (0..backends).map(|index| {
        let [high, low] = index.to_be_bytes();
        Member::new(([127, 200, high, low], 5000).into(), 1 + (u32::from(index) + round) % 5)
    });
    TcpPool::new("pool".parse()?, "tcp".parse()?).members(members).add_to(&mut configuration);
    if let Some(certificate) = certificate {
        configuration.set_default_certificate(certificate.clone());
    }
    Ok(configuration)
}

/// Returns the bytes that the client would send, and the name that proves them.
fn marked(configuration: &Configuration) -> anyhow::Result<(String, String)> {
    let marker = Revision::from(configuration).name().to_string();
    let body = serde_json::to_string(configuration)?;
    let services = "\"services\":{";
    Ok((body.replacen(services, &format!("{services}\"{marker}\":{{\"loadBalancer\":{{}}}},"), 1), marker))
}

fn certificate() -> anyhow::Result<Certificate> {
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(["ilb.example.org".to_owned()])?.self_signed(&key)?;
    Ok(Certificate::from_pem(certificate.pem(), key.serialize_pem()))
}
