//! Lists the pods of a label selector every five seconds, where a watch is not allowed or does not get through:
//! `cargo run -p ilb-discovery --example poll -- default app=my-app 5432`.

use std::time::Duration;

use futures_util::StreamExt;
use ilb_discovery::{
    BackendPort, ClientLimits, Discovery, PodDiscovery, Poll, api_client, config_from_kubeconfig,
    kube_client::{Config, config::KubeConfigOptions},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [namespace, selector, port] = arguments()?;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = match Config::incluster() {
        Ok(config) => config,
        Err(_) => config_from_kubeconfig(&KubeConfigOptions::default()).await?,
    };
    let client = api_client(&config, &ClientLimits::default())?;
    let pods = PodDiscovery::new(client, &namespace, selector.parse()?, port.parse::<BackendPort>()?);

    let mut sets = Poll::new(pods, Duration::from_secs(5)).watch();
    while let Some(next) = sets.next().await {
        match next {
            Ok(set) => println!("{} backends, {} ready: {set:?}", set.len(), set.ready().len()),
            Err(error) => eprintln!("keeping the last set: {}", error.with_causes()),
        }
    }
    Ok(())
}

fn arguments() -> Result<[String; 3], &'static str> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    arguments.try_into().map_err(|_| "usage: poll NAMESPACE SELECTOR PORT")
}
