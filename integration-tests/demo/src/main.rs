//! Shows ilb at work for about a minute: real pods, a real Traefik, hundreds of long-lived connections, and changes.
//!
//! `make demo` runs it. `DURATION=120s` changes how long it plays. It fails if a promise was broken.

mod clients;
mod network;
mod play;
mod screen;
mod server;
mod summary;

use std::{fs, process::ExitCode, time::Duration};

use anyhow::{Context, ensure};
use ilb_testbed::{ApiServer, CloserProcess, Ilb, Traefik, World, tools};

use crate::{
    clients::Clients,
    play::{BACKENDS, CONNECTIONS, Play},
    screen::Screen,
    server::Arrived,
};

fn main() -> ExitCode {
    match prepare().and_then(|()| demo()) {
        Ok(broken) if broken.is_empty() => ExitCode::SUCCESS,
        Ok(broken) => {
            for promise in broken {
                eprintln!("broken promise: {promise}");
            }
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Prepares everything that takes long or needs the network, and continues in a network of the demo's own if it can.
fn prepare() -> anyhow::Result<()> {
    if network::is_own() {
        return network::prepare();
    }
    step("preparing etcd, kube-apiserver and Traefik (built once, about 5 minutes; instant from then on)");
    tools::prepare()?;
    step("building ilb");
    Ilb::build()?;
    if let Err(reason) = network::enter() {
        step(&format!(
            "no connection will be moved to new pods, because a network of its own is needed for that: {reason:#}"
        ));
    }
    Ok(())
}

#[tokio::main]
async fn demo() -> anyhow::Result<Vec<String>> {
    let duration = duration()?;
    tokio::select! {
        result = run(duration) => result,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            anyhow::bail!("interrupted; everything that was started has been stopped")
        }
    }
}

async fn run(duration: Duration) -> anyhow::Result<Vec<String>> {
    step("starting etcd and the API server");
    let api_server = ApiServer::start().await?;
    step("starting Traefik");
    let traefik = Traefik::start().await?;
    step(&format!("starting ilb, {BACKENDS} backends and their pods"));
    let pods = api_server.namespace("demo").await?;
    let closer = if network::is_own() { Some(network::closer().await?) } else { None };
    let settings = Settings::new(closer.as_ref())?;
    let mut world = World::from_parts(api_server, pods, traefik, &settings.variables())?;
    if closer.is_some() {
        world = world.beyond_loopback();
    }
    let arrived = Arrived::default();
    let mut servers = Vec::new();
    for index in 0..BACKENDS {
        servers.push(play::add_pod(&world, index, &arrived).await?);
    }
    world.wait_until_in_force(BACKENDS.into()).await?;
    step(&format!("opening {CONNECTIONS} long-lived connections"));
    let clients = Clients::start(world.traefik.entry_point(), CONNECTIONS, &arrived).await?;

    let mut play = Play::new(world, (servers, arrived), clients, closer, Screen::new(duration));
    let summary = play.run(duration).await?;
    println!("{summary}");
    Ok(summary.broken_promises())
}

/// The settings of ilb: those by which connections are moved, if a closer runs.
struct Settings {
    closer: Option<(String, String)>,
    _folder: tempfile::TempDir,
}

/// Rules that suit a minute: by default a new pod is left to settle for a minute, and connections are moved for longer.
const RULES: &str = "pools:
- closing:
    settle: 2s
    maxPerHour: 1000%
    rebalance: {enabled: true, startAbove: 10%, stopAt: 1%, rate: 20%, minAge: 1s}
";

impl Settings {
    fn new(closer: Option<&CloserProcess>) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("ilb-demo-").tempdir()?;
        let file = folder.path().join("ilb.yaml");
        fs::write(&file, RULES)?;
        let closer = closer.map(|closer| (closer.socket().display().to_string(), file.display().to_string()));
        Ok(Self { closer, _folder: folder })
    }

    fn variables(&self) -> Vec<(&str, &str)> {
        let closer = self.closer.iter();
        closer
            .flat_map(|(socket, file)| [("ILB_CLOSER_SOCKET", socket.as_str()), ("ILB_CONFIG", file.as_str())])
            .collect()
    }
}

fn step(what: &str) {
    eprintln!("demo: {what}");
}

/// Reads the variable `DURATION`: seconds, with or without the `s`.
fn duration() -> anyhow::Result<Duration> {
    let Some(text) = std::env::var_os("DURATION").filter(|text| !text.is_empty()) else {
        return Ok(Duration::from_secs(60));
    };
    let seconds = text.to_str().and_then(|t| t.trim_end_matches('s').parse().ok());
    let seconds =
        seconds.with_context(|| format!("DURATION={} is not a duration: give seconds such as 60s", text.display()))?;
    ensure!((15..=3600).contains(&seconds), "DURATION={seconds}s is out of range: give 15s to 3600s");
    Ok(Duration::from_secs(seconds))
}
