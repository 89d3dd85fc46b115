//! Watches the endpoints of a Service: `cargo run -p ilb-discovery --example endpoint_slices -- default my-app db`.
//!
//! The last argument is the number of a port, or the Service's name for it.

use futures_util::StreamExt;
use ilb_discovery::{
    BackendPort, ClientLimits, Discovery, EndpointSliceDiscovery, KubeOptions, api_client, config_from_kubeconfig,
    kube_client::{Config, config::KubeConfigOptions},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [namespace, service, port] = arguments()?;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = match Config::incluster() {
        Ok(config) => config,
        Err(_) => config_from_kubeconfig(&KubeConfigOptions::default()).await?,
    };
    let client = api_client(&config, &ClientLimits::default())?;
    let slices = EndpointSliceDiscovery::try_from_service(client, &namespace, &service, port.parse::<BackendPort>()?)?;

    let mut sets = slices.with_options(KubeOptions::default().with_draining_fallback()).watch();
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
    arguments.try_into().map_err(|_| "usage: endpoint_slices NAMESPACE SERVICE PORT")
}
