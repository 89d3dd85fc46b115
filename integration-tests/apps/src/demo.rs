//! An application at work, in a terminal: operations per second while its servers are restarted, added and change their roles.

use std::fmt::Write as _;

use anyhow::{Context, ensure};
use ilb_testbed::{Ilb, in_a_network};
use tokio::process::Command;

use crate::{apps, judge, record::Record, window::spread};

/// First argument of the program that shows one application in a network namespace of its own.
pub(crate) const ALONE: &str = "demo-alone";

/// Shows one application, in a network namespace of its own.
pub(crate) async fn run(name: &str) -> anyhow::Result<()> {
    let mut command = in_a_network("setpriv");
    Ilb::share_with(&mut command)?;
    let mut command = Command::from(command);
    command.args(["--pdeathsig", "KILL", "--"]).arg(std::env::current_exe()?).args([ALONE, name]);
    let status = command.kill_on_drop(true).status().await.context("cannot run unshare")?;
    ensure!(status.success(), "{name} failed, as is said above; it needs root");
    Ok(())
}

/// Shows one application, and judges what its clients saw.
pub(crate) async fn alone(name: &str) -> anyhow::Result<()> {
    println!("Starting an API server, Traefik, ilb, and {name} with its clients.");
    let records = Box::pin(apps::show(name)).await?;
    print!("{}", summary(&records));
    judge::check(&records)
}

fn summary(records: &[Record]) -> String {
    let mut text = "\n".to_owned();
    for record in records {
        let Record { event, seen, before, after, kept, .. } = record;
        let lost = kept.as_ref().map_or(0, |kept| kept.lost.len());
        let _ = writeln!(
            text,
            "{}: connections {before:?} ({:.2}) -> {after:?} ({:.2}); {} operations, {} failed, {lost} lost, longest wait {:.1} s",
            event.name(),
            spread(before),
            spread(after),
            seen.confirmed,
            seen.failed,
            seen.longest_wait
        );
    }
    text
}
