//! Measures the costs of following many pods, and the time from a change of one to the set, on a real API server.
//!
//! `make bench-discovery` runs it with 10 000 pods, or as many as its argument says; it writes
//! `target/bench/discovery.json`. The measured code runs in a process of its own, which does nothing else.

mod costs;
mod follower;
mod heap;
mod many_pods;
mod unchanged_events;

use std::{env, process::Command};

use anyhow::{Context, ensure};
use ilb_benches::results;
use ilb_testbed::ApiServer;

use crate::{costs::Costs, follower::Task};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    match &*arguments {
        [task] if task.starts_with('{') => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let costs = runtime.block_on(follower::run(serde_json::from_str(task)?))?;
            println!("{}", serde_json::to_string(&costs)?);
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
        let json_bytes_per_pod = many_pods::create(&api_server, &namespace, pods).await?;
        let pod = many_pods::text(&api_server.client(), namespace.namespace()).await?;
        let server = unchanged_events::Server::start(&pod).await?;
        let task = Task {
            kubeconfig: api_server.kubeconfig(),
            namespace: namespace.namespace().to_owned(),
            pods: pods.into(),
            unchanged_events_at: server.address(),
            unchanged_events: unchanged_events::EVENTS,
        };
        let costs = Costs { json_bytes_per_pod, ..measure(&task).await? };
        println!("{costs}");
        println!("written to {}", results::write("discovery", &costs)?.display());
        Ok(())
    })
}

/// Runs `task` in a process of its own.
async fn measure(task: &Task) -> anyhow::Result<Costs> {
    let (program, task) = (env::current_exe()?, serde_json::to_string(task)?);
    let output = tokio::task::spawn_blocking(move || {
        Command::new(program).arg(task).stderr(std::process::Stdio::inherit()).output()
    });
    let output = output.await??;
    ensure!(output.status.success(), "the follower failed");
    Ok(serde_json::from_slice(&output.stdout)?)
}
