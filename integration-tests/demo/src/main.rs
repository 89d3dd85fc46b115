//! Shows ilb at work for about a minute: real pods, a real Traefik, hundreds of long-lived connections, and changes.
//!
//! `make demo` runs it. `DURATION=120s` changes how long it plays. It fails if a promise was broken.

mod clients;
mod play;
mod screen;
mod summary;

use std::{process::ExitCode, time::Duration};

use anyhow::{Context, ensure};
use ilb_testbed::{ApiServer, Ilb, Readiness, Traefik, World, tools};

use crate::{
    clients::Clients,
    play::{BACKENDS, CONNECTIONS, Play},
    screen::Screen,
};

fn main() -> ExitCode {
    match demo() {
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
    step("preparing etcd, kube-apiserver and Traefik (built once, about 5 minutes; instant from then on)");
    tools::prepare()?;
    step("building ilb");
    Ilb::build()?;
    step("starting etcd and the API server");
    let api_server = ApiServer::start().await?;
    step("starting Traefik");
    let traefik = Traefik::start().await?;
    step(&format!("starting ilb, {BACKENDS} backends and their pods"));
    let pods = api_server.namespace("demo").await?;
    let mut world = World::from_parts(api_server, pods, traefik, &[])?;
    world.add_pods(0..BACKENDS, Readiness::Ready).await?;
    world.wait_until_in_force(BACKENDS.into()).await?;
    step(&format!("opening {CONNECTIONS} long-lived connections"));
    let clients = Clients::start(world.traefik.entry_point(), CONNECTIONS).await?;

    let mut play = Play::new(world, clients, Screen::new(duration));
    let summary = play.run(duration).await?;
    println!("{summary}");
    Ok(summary.broken_promises())
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
