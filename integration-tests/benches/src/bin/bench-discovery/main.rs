//! What it costs to follow many pods, and how fast a change of one becomes a set, on a real API server.
//!
//! `make bench-discovery` runs it with 10 000 pods, or as many as its argument says; it writes
//! `target/bench/discovery.json`. What is measured runs in a process of its own, which does nothing else.

mod crowd;
mod figures;
mod follower;
mod quiet;

use std::{alloc::System, env, process::Command};

use anyhow::{Context, ensure};
use ilb_testbed::ApiServer;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use crate::{figures::Figures, follower::Task};

/// Counts what is on the heap.
#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    match &*arguments {
        [task] if task.starts_with('{') => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let figures = runtime.block_on(follower::run(serde_json::from_str(task)?))?;
            println!("{}", serde_json::to_string(&figures)?);
            Ok(())
        }
        [] => bench(10_000),
        [pods] => bench(pods.parse().context("the argument is the number of pods")?),
        _ => anyhow::bail!("usage: bench-discovery [PODS]"),
    }
}

fn bench(pods: u16) -> anyhow::Result<()> {
    tokio::runtime::Runtime::new()?.block_on(async {
        let api_server = ApiServer::start().await?;
        let namespace = api_server.namespace("crowd").await?;
        eprintln!("creating {pods} pods");
        let json_bytes_per_pod = crowd::create(&api_server, &namespace, pods).await?;
        let quiet = quiet::Server::start(&crowd::text(&api_server.client(), namespace.namespace()).await?).await?;
        let task = Task {
            kubeconfig: api_server.kubeconfig(),
            namespace: namespace.namespace().to_owned(),
            pods: pods.into(),
            quiet: quiet.address(),
            quiet_events: quiet::EVENTS,
        };
        let figures = Figures { json_bytes_per_pod, ..measure(&task).await? };
        println!("{figures}");
        println!("written to {}", ilb_benches::figures::write("discovery", &figures)?.display());
        Ok(())
    })
}

/// Lets a process of its own do `task`.
async fn measure(task: &Task) -> anyhow::Result<Figures> {
    let (program, task) = (env::current_exe()?, serde_json::to_string(task)?);
    let output = tokio::task::spawn_blocking(move || {
        Command::new(program).arg(task).stderr(std::process::Stdio::inherit()).output()
    });
    let output = output.await??;
    ensure!(output.status.success(), "the follower failed");
    Ok(serde_json::from_slice(&output.stdout)?)
}
