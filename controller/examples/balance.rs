//! Balances the pods of a label selector by least connections, in a Traefik beside it, and prints what happens.
//!
//! ```sh
//! cargo run -p ilb-controller --example balance -- default app=my-app 5432 http://127.0.0.1:8080
//! ```
//!
//! The arguments are namespace, selector, port of the pods and address of Traefik's API. Clients connect to Traefik's
//! entry point `tcp`. The cluster is that of the current kubeconfig, or the one that the example runs in. It stops on
//! Ctrl-C, and Traefik then continues with the last configuration.

use std::{error::Error, sync::Arc};

use ilb_connections::{KernelConnections, Options};
use ilb_controller::{Controller, Event, Policy, Pool, PoolSpec};
use ilb_discovery::{
    BackendPort, ClientLimits, PodDiscovery, State, api_client, config_from_kubeconfig,
    kube_client::{Config, config::KubeConfigOptions},
};
use ilb_reconciler::Pacing;
use ilb_traefik_client::Traefik;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let [namespace, selector, port, traefik] = arguments()?;
    let _ = rustls::crypto::ring::default_provider().install_default();

    let config = match Config::incluster() {
        Ok(config) => config,
        Err(_) => config_from_kubeconfig(&KubeConfigOptions::default()).await?,
    };
    let client = api_client(&config, &ClientLimits::default())?;
    let pods = PodDiscovery::new(client, &namespace, selector.parse()?, port.parse::<BackendPort>()?);
    let connections = KernelConnections::start(Options::default()).await?;
    let policy = Policy::least_connections(connections, Pacing::default());
    let pool = Pool::new(PoolSpec::new("default".parse()?, "tcp".parse()?), pods).with_policy(policy);

    let controller = Controller::new(Arc::new(Traefik::try_new(&traefik)?), [pool]).with_observer(print);
    controller.run(async { drop(tokio::signal::ctrl_c().await) }).await;
    Ok(())
}

/// Prints the events that matter to a person. Samples, decisions and proofs come many times a second.
fn print(event: &Event<'_>) {
    match event {
        Event::Discovered { set, .. } => println!("{} backends, {} ready", set.len(), set.count(State::Ready)),
        Event::DiscoveryStale { error, .. } => println!("keeping the last set of backends: {}", error.with_causes()),
        Event::CountingFailed { error, .. } => println!("round robin until counting works: {}", error.with_causes()),
        Event::StandingChanged { change, .. } => match &change.evidence {
            Some(evidence) => println!("{} is {}: {evidence}", change.backend, change.to),
            None => println!("{} is {}", change.backend, change.to),
        },
        Event::Pushed { desired, applied, .. } => {
            println!("in force after {:?}", applied.took);
            let rows = desired.values().flat_map(|pool| &pool.decision.rows);
            rows.for_each(|row| println!("  {row}"));
        }
        Event::PushFailed { error } => println!("push failed, will be repeated: {error}"),
        Event::ProofLost { error } => println!("configuration lost, will be pushed again: {error}"),
        _ => {}
    }
}

fn arguments() -> Result<[String; 4], &'static str> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    arguments.try_into().map_err(|_| "usage: balance NAMESPACE SELECTOR PORT TRAEFIK_URL")
}
