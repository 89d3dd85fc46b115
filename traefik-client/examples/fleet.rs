//! Keeps several Traefiks at one configuration, and shows the state of each.
//!
//! ```sh
//! cargo run -p ilb-traefik-client --example fleet -- http://127.0.0.1:8080 http://127.0.0.1:8081
//! ```

use std::time::Duration;

use ilb_traefik_client::{ConfigSink, Configuration, Fleet, Member, TcpPool, Traefik, fleet::Quorum};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut fleet = Fleet::builder().quorum(Quorum::AtLeast(1));
    for url in std::env::args().skip(1) {
        fleet = fleet.instance(Traefik::builder(&url))?;
    }
    let fleet = fleet.start();

    let mut configuration = Configuration::default();
    TcpPool::new("default".parse()?, "tcp".parse()?)
        .member(Member::new("127.0.0.1:5432".parse()?, 1))
        .add_to(&mut configuration);
    match fleet.apply(&configuration).await {
        Ok(applied) => {
            let instance = applied.instance.unwrap_or_default();
            println!("in force in {instance}; {} others were waited for", applied.others.len());
        }
        Err(error) => println!("{error}"),
    }
    // The fleet continues in either case: stop an instance and start it again, and it is configured again.
    for _ in 0..5 {
        for (label, state) in fleet.instances() {
            let error = state.error.map_or_else(|| "in force".to_owned(), |error| error.to_string());
            println!("{label}: {error}, circuit {:?}", state.breaker);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}
