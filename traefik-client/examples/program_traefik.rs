//! Lets a local Traefik balance one entry point over the given backends, and proves it.
//!
//! ```sh
//! traefik --entrypoints.tcp.address=127.0.0.1:3333 --entrypoints.traefik.address=127.0.0.1:8080 --api.insecure=true \
//!     --providers.rest.insecure=true --providers.providersthrottleduration=0 &
//! cargo run -p ilb-traefik-client --example program_traefik -- http://127.0.0.1:8080 127.0.0.1:5432 127.0.0.1:5433
//! ```

use std::{net::SocketAddr, time::Duration};

use anyhow::Context as _;
use ilb_traefik_client::{ConfigSink, Configuration, Member, TcpPool, Traefik};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().context("usage: program_traefik URL BACKEND...")?;
    let backends =
        arguments.map(|text| text.parse::<SocketAddr>().with_context(|| format!("'{text}' is not an ip:port")));
    let members = backends.map(|address| Ok(Member::new(address?, 1))).collect::<anyhow::Result<Vec<_>>>()?;

    let mut configuration = Configuration::default();
    TcpPool::new("default".parse()?, "tcp".parse()?).members(members).add_to(&mut configuration);

    let traefik = Traefik::try_new(&url)?;
    let applied = traefik.apply(&configuration).await?;
    println!("revision {} in force in Traefik {} after {:?}", applied.revision, applied.version, applied.took);

    // An occasional check is now enough to notice a restart or another client that writes to Traefik.
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let outcome = traefik.verify(&applied).await;
        println!("{}", outcome.map_or_else(|error| error.to_string(), |()| "still in force".to_owned()));
    }
    Ok(())
}
