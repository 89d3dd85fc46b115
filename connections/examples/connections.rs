//! A live table of a process's connections to the addresses given:
//!
//! `cargo run -p ilb-connections --example connections -- PID IP:PORT [IP:PORT ...]`
//!
//! With `-` instead of a PID, the connections of everybody in this network namespace. Needs the right to read
//! `/proc/PID/fd`; the connections shown are those of the network namespace in which the example runs.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use anyhow::Context;
use ilb_connections::{ConnectionSource, KernelConnections, Options};

const PERIOD: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let process = arguments.next().context("give a process id (or -) and at least one ip:port")?;
    let backends: BTreeSet<SocketAddr> =
        arguments.map(|a| a.parse().with_context(|| format!("'{a}' is no ip:port"))).collect::<anyhow::Result<_>>()?;
    let mut options = Options::default().with_ipv4_mapped();
    if process != "-" {
        options = options.with_process_id(process.parse().with_context(|| format!("'{process}' is no process id"))?);
    }
    let connections = KernelConnections::start(options).await?;
    loop {
        let sample = connections.sample(&backends).await?;
        println!(
            "\n{:<24} {:>11} {:>7} {:>6} {:>6} {:>12} {:>9} {:>7}   (by {} in {:?})",
            "backend",
            "established",
            "opening",
            "opened",
            "closed",
            "bytes",
            "rtt",
            "resent",
            connections.method(),
            sample.cost()
        );
        for backend in &backends {
            let load = sample.get(*backend);
            let rtt = load.rtt.map_or_else(|| "-".to_owned(), |rtt| format!("{rtt:.0?}"));
            println!(
                "{:<24} {:>11} {:>7} {:>6} {:>6} {:>12} {:>9} {:>7}",
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
            () = tokio::time::sleep(PERIOD) => {}
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
    }
}
