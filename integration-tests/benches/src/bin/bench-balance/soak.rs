use std::{fmt, net::SocketAddr, time::Duration};

use ilb_testbed::{Backend, Behaviour, Crowd, Net, Traefik, eventually};
use ilb_traefik_client::{Certificate, ConfigSink, Configuration, Member, TcpPool};
use rcgen::{CertificateParams, KeyPair};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use crate::system::seconds_of;

pub(crate) const NAME: &str = "soak";

const PUSHES: u32 = 2_000;
/// Looked at so often, besides at the beginning and the end.
const LOOKS: u32 = 4;
const BACKENDS: u16 = 10;
/// Go collects garbage every 2 minutes at least: only then is gone what nobody uses any more.
const COLLECTED: Duration = Duration::from_secs(125);
/// Connections that live through all of it.
const LIVE: usize = 1_000;

/// What many pushes do to a Traefik.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Soak {
    looks: Vec<Look>,
    /// Processor seconds of Traefik for one push, proof included.
    pub(crate) traefik_cpu_per_push: f64,
    /// Processor seconds of the client for one push, proof included.
    client_cpu_per_push: f64,
}

/// Traefik at one moment.
#[derive(Debug, Serialize, Deserialize)]
struct Look {
    pushes: u32,
    goroutines: f64,
    resident_mb: f64,
    heap_goal_mb: f64,
    files: f64,
}

/// 2 000 pushes, one right behind the other, of weights as they are in life.
pub(crate) async fn run() -> anyhow::Result<Soak> {
    eprintln!("soak: {PUSHES} pushes, {LIVE} live connections");
    let traefik = Traefik::start().await?;
    let client = ilb_traefik_client::Traefik::try_new(&traefik.rest_url())?;
    let net = Net::of_this_process()?;
    let addresses: Vec<_> = (0..BACKENDS).map(|index| net.backend(30, index, 4_000)).collect();
    let mut backends = Vec::new();
    for address in &addresses {
        backends.push(Backend::start(*address, Behaviour::Echo).await?);
    }
    let certificate = certificate()?;
    let first = configuration(&addresses, 0, &certificate)?;
    eventually("Traefik takes a configuration", async || Ok(client.apply(&first).await?)).await?;
    let mut crowd = Crowd::default();
    for _ in 0..LIVE {
        crowd.join(&traefik).await?;
    }
    sleep(COLLECTED).await;
    let mut looks = vec![Look::at(&traefik, 0).await?];
    let before = (seconds_of(&traefik.process()?.id().to_string())?, seconds_of("self")?);
    for number in 1..=PUSHES {
        client.apply(&configuration(&addresses, number, &certificate)?).await?;
        if number % (PUSHES / LOOKS) == 0 {
            looks.push(Look::at(&traefik, number).await?);
        }
    }
    let after = (seconds_of(&traefik.process()?.id().to_string())?, seconds_of("self")?);
    sleep(COLLECTED).await;
    looks.push(Look::at(&traefik, PUSHES).await?);
    Ok(Soak {
        looks,
        traefik_cpu_per_push: (after.0 - before.0) / f64::from(PUSHES),
        client_cpu_per_push: (after.1 - before.1) / f64::from(PUSHES),
    })
}

impl Look {
    async fn at(traefik: &Traefik, pushes: u32) -> anyhow::Result<Self> {
        Ok(Self {
            pushes,
            goroutines: traefik.metric("go_goroutines").await?,
            resident_mb: traefik.metric("process_resident_memory_bytes").await? / 1e6,
            // What is allocated goes up and down by the garbage in it. This is set at each collection, to about twice
            // what is in use.
            heap_goal_mb: traefik.metric("go_memstats_next_gc_bytes").await? / 1e6,
            files: traefik.metric("process_open_fds").await?,
        })
    }
}

impl Soak {
    pub(crate) fn goroutine_growth(&self) -> f64 {
        self.growth(|look| look.goroutines)
    }

    pub(crate) fn file_growth(&self) -> f64 {
        self.growth(|look| look.files)
    }

    pub(crate) fn heap_growth(&self) -> f64 {
        self.growth(|look| look.heap_goal_mb)
    }

    fn growth(&self, of: impl Fn(&Look) -> f64) -> f64 {
        match (self.looks.first(), self.looks.last()) {
            (Some(first), Some(last)) => of(last) / of(first),
            _ => f64::NAN,
        }
    }
}

impl fmt::Display for Soak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "## {PUSHES} pushes\n\nOne right behind the other, with {LIVE} live connections to {BACKENDS} backends; at the first and the \
             last line it is 125 s that nothing was pushed, so that Go has collected its garbage. The heap goal is about \
             twice what is in use. What Traefik takes for the first {} pushes it keeps; what grows with pushes shows from \
             there on.\n\nOne push costs Traefik {:.2} ms of processor time and the client {:.2} ms, proofs \
             included.\n\n| pushes | goroutines | resident MB | heap goal MB | open files |\n|---|---|---|---|---|",
            PUSHES / LOOKS,
            self.traefik_cpu_per_push * 1e3,
            self.client_cpu_per_push * 1e3
        )?;
        for Look { pushes, goroutines, resident_mb, heap_goal_mb, files } in &self.looks {
            writeln!(f, "| {pushes} | {goroutines} | {resident_mb:.1} | {heap_goal_mb:.1} | {files} |")?;
        }
        Ok(())
    }
}

/// As ilb makes it, with other weights at each number.
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
