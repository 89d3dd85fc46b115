//! The processor time that the exchange between siblings takes.

use std::{fmt, net::SocketAddr, time::Duration};

use anyhow::{Context, ensure};
use ilb_benches::{alone, processor_time::seconds_of, run::Run};
use ilb_testbed::{ApiServer, Connection, Ilb, eventually, open_loopback};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use crate::{
    elsewhere::Elsewhere,
    system::{IlbAndTraefik, Siblings, backend_address, open_network},
};

/// Argument that requests the measurement.
pub(crate) const NAME: &str = "exchange";
/// Argument that makes this program [measure] with the number of backends that follows.
pub(crate) const ALONE: &str = "exchange-with";

/// Numbers of backends, each with a connection through each replica.
const BACKENDS: [u16; 2] = [10, 1_000];
/// Numbers of replicas that exchange their counts.
const REPLICAS: [usize; 3] = [2, 3, MOST_REPLICAS];
/// Number of replicas in the bar.
pub(crate) const MOST_REPLICAS: usize = 10;
/// Time for which the processor time is counted.
const PERIOD: Duration = Duration::from_secs(20);
/// Time until connections have been opened and samples have become rare.
const SETTLE_TIME: Duration = Duration::from_secs(5);

/// Processor time with and without the exchange.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Exchange {
    pub(crate) run: Run,
    costs: Vec<Cost>,
}

/// Processor time of one ilb, in cores.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Cost {
    pub(crate) replicas: usize,
    pub(crate) backends: u16,
    /// Processor time of the whole ilb before it has a sibling.
    pub(crate) apart: f64,
    /// Processor time of the whole ilb, the mean of those that have siblings.
    pub(crate) together: f64,
}

/// Measures each number of backends in a process and a network namespace of its own.
pub(crate) async fn run(run: Run) -> anyhow::Result<Exchange> {
    let mut costs = Vec::new();
    for backends in BACKENDS {
        eprintln!("exchange: {MOST_REPLICAS} replicas, {backends} backends");
        let number = backends.to_string();
        costs.extend(alone::run::<Vec<Cost>>(&[ALONE, &number]).await?);
    }
    Ok(Exchange { run, costs })
}

/// Measures with this number of backends, and prints the costs for the process that [runs](run) it.
pub(crate) async fn measure(backends: &str) -> anyhow::Result<()> {
    open_loopback()?;
    open_network()?;
    let count: u16 = backends.parse().context("a number of backends")?;
    let addresses: Vec<SocketAddr> = (0..count).map(|index| backend_address(index, 4_000)).collect();
    let _backends = Elsewhere::start(&addresses).await?;
    let api_server = ApiServer::start().await?;
    let siblings = Siblings::new(&api_server).await?;
    let mut replicas = Vec::new();
    for _ in 0..MOST_REPLICAS {
        let number = IlbAndTraefik::free_number();
        replicas.push(IlbAndTraefik::start_beside_others(number, &addresses, Some(&siblings)).await?);
    }
    let mut connections = Vec::new();
    for replica in &replicas {
        for _ in 0..count {
            connections.push(Connection::open(replica.traefik.entry_point()).await?);
        }
        wait_until_counted(replica, count).await?;
    }
    let mut costs = Vec::new();
    let apart = mean_cores(&replicas).await?;
    for number in REPLICAS {
        let together = &replicas[..number];
        let numbers: Vec<u16> = together.iter().filter_map(IlbAndTraefik::number).collect();
        siblings.list_together(&numbers).await?;
        for replica in together {
            replica.wait_until_hearing(number - 1).await?;
        }
        costs.push(Cost { replicas: number, backends: count, apart, together: mean_cores(together).await? });
    }
    println!("{}", serde_json::to_string(&costs)?);
    Ok(())
}

async fn wait_until_counted(replica: &IlbAndTraefik, connections: u16) -> anyhow::Result<()> {
    eventually("the connections are counted", async || {
        let status = replica.admin.status().await?;
        let backends = status["pools"][0]["backends"].as_array().context("no backends")?;
        let counted: u64 = backends.iter().filter_map(|backend| backend["established"].as_u64()).sum();
        ensure!(counted == u64::from(connections), "{counted} of {connections}");
        Ok(())
    })
    .await
}

/// Returns the processor time of one ilb, the mean of all, in cores.
async fn mean_cores(replicas: &[IlbAndTraefik]) -> anyhow::Result<f64> {
    let seconds = || replicas.iter().map(|replica| of_process(&replica.ilb)).sum::<anyhow::Result<f64>>();
    sleep(SETTLE_TIME).await;
    let (before, begun) = (seconds()?, Instant::now());
    sleep(PERIOD).await;
    #[allow(clippy::cast_precision_loss, reason = "there are few replicas")]
    let count = replicas.len() as f64;
    Ok((seconds()? - before) / begun.elapsed().as_secs_f64() / count)
}

fn of_process(ilb: &Ilb) -> anyhow::Result<f64> {
    seconds_of(&ilb.process().id().to_string())
}

impl Exchange {
    /// Returns the costs with as many replicas as the bar is about.
    pub(crate) fn with_most_replicas(&self) -> impl Iterator<Item = &Cost> {
        self.costs.iter().filter(|cost| cost.replicas == MOST_REPLICAS)
    }
}

impl Cost {
    /// Returns the processor time of the exchange alone, in cores.
    pub(crate) fn of_exchange(&self) -> f64 {
        self.together - self.apart
    }
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "## The cost of the exchange\n\nProcessor time of one replica that asks its siblings and answers them, in % of a \
             core, over {} s; each replica has a connection to each backend, and none opens or ends. `apart` is the whole ilb \
             before any sibling is listed, `together` the mean of those that are siblings.\n\n\
             | replicas | backends | apart % | together % | exchange % |\n|---|---|---|---|---|",
            PERIOD.as_secs()
        )?;
        for cost in &self.costs {
            let Cost { replicas, backends, apart, together } = cost;
            let exchange = cost.of_exchange() * 100.0;
            writeln!(
                f,
                "| {replicas} | {backends} | {:.2} | {:.2} | {exchange:.2} |",
                apart * 100.0,
                together * 100.0
            )?;
        }
        Ok(())
    }
}
