//! Real applications before a real ilb: what their clients see when servers are added, replaced and killed, and when the
//! balancer or the cluster is.
//!
//! `make apps-test` runs it. It fails if something was lost that an application had confirmed, if clients did not come back, or
//! if they noticed what they may not.

mod application;
mod apps;
mod certificate;
mod cluster;
mod demo;
mod event;
mod example;
mod judge;
mod limits;
mod options;
mod page;
mod record;
mod report;
mod servers;
mod soak;
mod stage;
mod ticker;
mod window;
mod workers;

use std::process::{ExitCode, Stdio};

use anyhow::{Context, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use ilb_testbed::{Ilb, in_a_network, open_loopback, tools};
use tokio::process::Command;

use crate::{event::Event, options::Options, record::Record};

/// First argument of the program in a network namespace of its own.
const ALONE: &str = "alone";
/// Argument of the program that soaks all applications at once.
const SOAK: &str = "soak";
/// First argument of the program that shows one application in a terminal.
const DEMO: &str = "demo";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.as_slice() {
        [first, name, events] if first == ALONE => alone(name, events).await,
        [first, name] if first == soak::ALONE => soak_alone(name).await,
        [first] if first == SOAK => soak_all().await,
        [first, name] if first == DEMO => show(name).await,
        [first, name] if first == demo::ALONE => show_alone(name).await,
        _ => run().await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("apps-test: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs all applications, and judges what their clients saw.
async fn run() -> anyhow::Result<()> {
    let options = Options::from_environment()?;
    prepare(&options)?;
    let names = apps::NAMES.iter().filter(|name| options.applications.contains(name));
    let records: Vec<Vec<Record>> =
        stream::iter(names).map(|name| run_alone(name, &options)).buffered(options.jobs).try_collect().await?;
    let records: Vec<Record> = records.into_iter().flatten().collect();
    // A table of the page is about one run of all events.
    if options.events.is_empty() {
        let all = report::keep(&records)?;
        if options.writes_page {
            page::write(&all)?;
        }
    }
    judge::check(&records)
}

/// Prepares the programs that these applications need.
fn prepare(options: &Options) -> anyhow::Result<()> {
    tools::prepare()?;
    ilb_testbed::apps::prepare()?;
    if options.applications.contains(&apps::RABBITMQ) {
        tools::path("rabbitmq-server")?;
    }
    Ilb::build().map(drop)
}

/// Lets all applications work at once while their servers change, and judges what has grown.
async fn soak_all() -> anyhow::Result<()> {
    let options = Options::from_environment()?;
    prepare(&options)?;
    soak::run(&options.applications).await
}

/// Shows one application at work.
async fn show(name: &str) -> anyhow::Result<()> {
    let options = Options::from_environment()?;
    prepare(&options)?;
    demo::run(name).await
}

async fn show_alone(name: &str) -> anyhow::Result<()> {
    open_loopback()?;
    demo::alone(name).await
}

async fn soak_alone(name: &str) -> anyhow::Result<()> {
    open_loopback()?;
    soak::alone(name).await
}

/// Runs this program once more for one application, in a network namespace of its own.
async fn run_alone(name: &str, options: &Options) -> anyhow::Result<Vec<Record>> {
    let mut command = in_a_network("setpriv");
    Ilb::share_with(&mut command)?;
    let mut command = Command::from(command);
    command.args(["--pdeathsig", "KILL", "--"]).arg(std::env::current_exe()?);
    command.args([ALONE, name, &options.events.join(",")]);
    let child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().context("cannot run unshare")?;
    let output = child.wait_with_output().await?;
    ensure!(output.status.success(), "{name} failed, as is said above; it needs root");
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Runs one application, and prints its records.
async fn alone(name: &str, events: &str) -> anyhow::Result<()> {
    open_loopback()?;
    let is_wanted = |event: Event| events.is_empty() || events.split(',').any(|wanted| wanted == event.key());
    let records = apps::play(name, is_wanted).await?;
    println!("{}", serde_json::to_string(&records)?);
    Ok(())
}
