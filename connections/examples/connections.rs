//! Shows a live table of the connections of a process to the given addresses:
//!
//! `cargo run -p ilb-connections --example connections -- PID IP:PORT [IP:PORT ...]`
//!
//! With `-` instead of a process id, shows the connections of all processes. Needs the right to read `/proc/PID/fd`.
//! Only connections of the network namespace in which the example runs are visible.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use anyhow::Context;
use ilb_connections::{ConnectionSource, KernelConnections, Options};

const REFRESH_INTERVAL: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let process = arguments.next().context("usage: connections PID IP:PORT [IP:PORT ...], with - for all processes")?;
    let backends: BTreeSet<SocketAddr> = arguments
        .map(|a| a.parse().with_context(|| format!("'{a}' is not an address of the form IP:PORT")))
        .collect::<anyhow::Result<_>>()?;
    let mut options = Options::default().with_ipv4_mapped();
    if process != "-" {
        let process_id = process.parse().with_context(|| format!("'{process}' is not a process id"))?;
        options = options.with_process_id(process_id);
    }
    let connections = KernelConnections::start(options).await?;
    loop {
        let sample = connections.sample(&backends).await?;
        println!(
            "\n{:<24} {:>11} {:>7} {:>6} {:>6} {:>12} {:>9} {:>11}   (by {} in {:?} of processor time)",
            "backend",
            "established",
            "opening",
            "opened",
            "closed",
            "bytes",
            "rtt",
            "retransmits",
            connections.method(),
            sample.cost()
        );
        for backend in &backends {
            let load = sample.get(*backend);
            let rtt = load.rtt.map_or_else(|| "-".to_owned(), |rtt| format!("{rtt:.0?}"));
            println!(
                "{:<24} {:>11} {:>7} {:>6} {:>6} {:>12} {:>9} {:>11}",
                backend.to_string(),
                load.established,
                load.opening,
                load.opened,
                load.closed,
                load.bytes,
                rtt,
                load.retransmits
            );
        }
        tokio::select! {
            () = tokio::time::sleep(REFRESH_INTERVAL) => {}
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
    }
}
