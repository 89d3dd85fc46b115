//! Thousands of pushes to one Traefik, and what they leave behind there.

use std::{fmt, net::SocketAddr, time::Duration};

use ilb_benches::{processor_time::seconds_of, run::Run};
use ilb_testbed::{Backend, Behaviour, Crowd, Net, Traefik, eventually};
use ilb_traefik_client::{Certificate, ConfigSink, Configuration, Member, TcpPool};
use rcgen::{CertificateParams, KeyPair};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

/// Argument that requests the soak.
pub(crate) const NAME: &str = "soak";

/// Number of pushes.
const PUSHES: u32 = 2_000;
/// Number of snapshots during the pushes, besides those at the beginning and the end.
const SNAPSHOTS: u32 = 4;
/// Number of backends.
const BACKENDS: u16 = 10;
/// Time after which Go has collected all garbage: it does so every 2 minutes at least.
const COLLECTION_TIME: Duration = Duration::from_secs(125);
/// Number of connections that live through the whole soak.
const LIVE_CONNECTIONS: usize = 1_000;

/// The effect of many pushes on a Traefik.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Soak {
    pub(crate) run: Run,
    #[serde(rename = "looks")]
    snapshots: Vec<Snapshot>,
    /// Processor seconds of Traefik for one push, proof included.
    pub(crate) traefik_cpu_per_push: f64,
    /// Processor seconds of the client for one push, proof included.
    client_cpu_per_push: f64,
}

/// The resources of Traefik at one moment.
#[derive(Debug, Serialize, Deserialize)]
struct Snapshot {
    pushes: u32,
    goroutines: f64,
    resident_mb: f64,
    heap_goal_mb: f64,
    files: f64,
}

/// Pushes weights as ilb does, one configuration right after the other.
pub(crate) async fn measure(run: Run) -> anyhow::Result<Soak> {
    eprintln!("soak: {PUSHES} pushes, {LIVE_CONNECTIONS} live connections");
    let traefik = Traefik::start().await?;
    let client = ilb_traefik_client::Traefik::try_new(&traefik.rest_url())?;
    let group = Net::for_this_process()?.group();
    let addresses: Vec<_> = (0..BACKENDS).map(|index| group.address(index, 4_000)).collect();
    let mut backends = Vec::new();
    for address in &addresses {
        backends.push(Backend::start(*address, Behaviour::Echo).await?);
    }
    let certificate = certificate()?;
    let first = configuration(&addresses, 0, &certificate)?;
    eventually("Traefik applies a configuration", async || Ok(client.apply(&first).await?)).await?;
    let mut crowd = Crowd::default();
    for _ in 0..LIVE_CONNECTIONS {
        crowd.join(&traefik).await?;
    }
    sleep(COLLECTION_TIME).await;
    let mut snapshots = vec![Snapshot::at(&traefik, 0).await?];
    let before = (seconds_of(&traefik.process()?.id().to_string())?, seconds_of("self")?);
    for number in 1..=PUSHES {
        client.apply(&configuration(&addresses, number, &certificate)?).await?;
        if number % (PUSHES / SNAPSHOTS) == 0 {
            snapshots.push(Snapshot::at(&traefik, number).await?);
        }
    }
    let after = (seconds_of(&traefik.process()?.id().to_string())?, seconds_of("self")?);
    sleep(COLLECTION_TIME).await;
    snapshots.push(Snapshot::at(&traefik, PUSHES).await?);
    Ok(Soak {
        run,
        snapshots,
        traefik_cpu_per_push: (after.0 - before.0) / f64::from(PUSHES),
        client_cpu_per_push: (after.1 - before.1) / f64::from(PUSHES),
    })
}

impl Snapshot {
    async fn at(traefik: &Traefik, pushes: u32) -> anyhow::Result<Self> {
        Ok(Self {
            pushes,
            goroutines: traefik.metric("go_goroutines").await?,
            resident_mb: traefik.metric("process_resident_memory_bytes").await? / 1e6,
            // Allocated memory varies with the garbage in it. The goal is set at each collection, to about twice the memory
            // in use.
            heap_goal_mb: traefik.metric("go_memstats_next_gc_bytes").await? / 1e6,
            files: traefik.metric("process_open_fds").await?,
        })
    }
}

impl Soak {
    pub(crate) fn goroutine_growth(&self) -> f64 {
        self.growth(|snapshot| snapshot.goroutines)
    }

    pub(crate) fn file_growth(&self) -> f64 {
        self.growth(|snapshot| snapshot.files)
    }

    pub(crate) fn heap_growth(&self) -> f64 {
        self.growth(|snapshot| snapshot.heap_goal_mb)
    }

    fn growth(&self, of: impl Fn(&Snapshot) -> f64) -> f64 {
        match (self.snapshots.first(), self.snapshots.last()) {
            (Some(first), Some(last)) => of(last) / of(first),
            _ => f64::NAN,
        }
    }
}

impl fmt::Display for Soak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "## {PUSHES} pushes\n\nOne right after the other, with {LIVE_CONNECTIONS} live connections to {BACKENDS} backends. \
             Before the first and the last line nothing was pushed for 125 s, so that Go has collected its garbage. The heap \
             goal is about twice the memory in use. Traefik keeps the memory that it takes for the first {} pushes; growth \
             with the number of pushes would show after that.\n\nOne push costs Traefik {:.2} ms of processor time and the client {:.2} ms, proofs \
             included.\n\n| pushes | goroutines | resident MB | heap goal MB | open files |\n|---|---|---|---|---|",
            PUSHES / SNAPSHOTS,
            self.traefik_cpu_per_push * 1e3,
            self.client_cpu_per_push * 1e3
        )?;
        for Snapshot { pushes, goroutines, resident_mb, heap_goal_mb, files } in &self.snapshots {
            writeln!(f, "| {pushes} | {goroutines} | {resident_mb:.1} | {heap_goal_mb:.1} | {files} |")?;
        }
        Ok(())
    }
}

/// Creates a configuration as ilb does, with other weights for each number.
fn configuration(backends: &[SocketAddr], number: u32, certificate: &Certificate) -> anyhow::Result<Configuration> {
    let mut configuration = Configuration::default();
    configuration.set_default_certificate(certificate.clone());
    let members = (1u32..).zip(backends).map(|(i, backend)| Member::new(*backend, 1_000_000 + (number * i) % 7));
    TcpPool::new("default".parse()?, "tcp".parse()?).members(members).add_to(&mut configuration);
    Ok(configuration)
}

fn certificate() -> anyhow::Result<Certificate> {
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(["ilb.example.org".to_owned()])?.self_signed(&key)?;
    Ok(Certificate::from_pem(certificate.pem(), key.serialize_pem()))
}
