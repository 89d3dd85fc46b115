//! Measures what a push costs, on a real Traefik without throttle: the time from the call of `apply` to its proof, beside
//! the least that any client can do, and the processor time of the real ilb. Writes `target/bench/apply.json`, and fails if
//! a bar is missed.
//!
//! Numbers of backends as arguments measure only those.

mod bars;
mod costs;
mod floor;
mod real_ilb;
mod scripted_pods;

use std::{alloc::System, time::Duration};

use anyhow::Context;
use costs::{Costs, Row, Summary};
use floor::Floor;
use ilb_benches::{bar, results};
use ilb_testbed::{BareTraefik, Ilb};
use ilb_traefik_client::{Certificate, ConfigSink, Configuration, Member, Revision, TcpPool, Traefik};
use rcgen::{CertificateParams, KeyPair};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static MEMORY: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Numbers of backends, and the rounds of each.
const BACKENDS_AND_ROUNDS: [(u16, u32); 6] = [(3, 200), (10, 200), (100, 200), (1_000, 100), (3_000, 40), (10_000, 15)];

fn main() -> anyhow::Result<()> {
    let selected =
        std::env::args().skip(1).map(|argument| argument.parse().context("an argument is a number of backends"));
    let selected = selected.collect::<anyhow::Result<Vec<u16>>>()?;
    Ilb::build()?;
    // One thread, as ilb has.
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure(&selected))
}

/// Measures the `selected` numbers of backends; all if there are none.
async fn measure(selected: &[u16]) -> anyhow::Result<()> {
    let server = BareTraefik::builder().start().await?;
    let traefik = Traefik::builder(&server.url()).call_within(Duration::from_secs(20)).build()?;
    let mut floor = Floor::connect((server.host(), 8080).into())?;
    let certificate = certificate()?;
    let mut costs = Costs::default();
    let is_selected = |backends| selected.is_empty() || selected.contains(&backends);
    for (backends, rounds) in BACKENDS_AND_ROUNDS.into_iter().filter(|(backends, _)| is_selected(*backends)) {
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
        eprintln!("bench-apply: {backends} backends, {} changes a second", real_ilb::CHANGES_PER_SECOND);
        let cost = real_ilb::measure(backends).await?;
        let (apply_ms, floor_ms) = (Summary::from_samples(apply), Summary::from_samples(least));
        costs.backends.insert(
            backends,
            Row {
                ratio: (apply_ms.p50 / floor_ms.p50 * 100.0).round() / 100.0,
                apply_ms,
                floor_ms,
                apply_without_certificate_ms: Summary::from_samples(without).p50,
                bytes,
                allocations: memory.0,
                allocated_bytes: memory.1,
                cpu_ms_per_push: cost.cpu_ms_per_push,
                changes_per_push: cost.changes_per_push,
            },
        );
    }
    let path = results::write("apply", &costs)?;
    println!("{costs}written to {}", path.display());
    bar::check(&bars::bars(&costs))
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
