//! One contender in one scenario, in a process and a network namespace of its own.

use ilb_benches::alone;
use ilb_testbed::open_loopback;

use crate::{contender::Contender, load::Load, measurements::Measurement, scenario::Scenario, system::System};

/// Argument that makes this program [measure].
pub(crate) const NAME: &str = "alone";

/// Runs a contender in a scenario by another process, whose sockets vanish with its namespace.
pub(crate) async fn run(scenario: &Scenario, contender: Contender) -> anyhow::Result<Measurement> {
    alone::run(&[NAME, scenario.name, contender.name()]).await
}

/// Measures a contender in a scenario in this process, and prints the measurement for the process that [runs](run) it.
pub(crate) async fn measure(scenario: &'static Scenario, contender: Contender) -> anyhow::Result<()> {
    open_loopback()?;
    let system = System::start(contender, scenario, None).await?;
    let (_, measurement) = Load::new(system, scenario, 0).await?.run().await?;
    println!("{}", serde_json::to_string(&measurement)?);
    Ok(())
}
