//! Keeps several Traefiks at one configuration, and shows the state of each.
//!
//! ```sh
//! cargo run -p ilb-traefik-client --example fleet -- http://127.0.0.1:8080 http://127.0.0.1:8081
//! ```

use std::time::Duration;

use ilb_traefik_client::{ConfigSink, Configuration, Fleet, Member, Quorum, TcpPool, Traefik};

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
        Ok(applied) => println!(
            "in force in {} and {} others looked at",
            applied.instance.unwrap_or_default(),
            applied.others.len()
        ),
        Err(error) => println!("{error}"),
    }
    // Whatever the outcome, the fleet goes on: stop and start an instance, and see it come back.
    for _ in 0..5 {
        for (label, state) in fleet.instances() {
            let error = state.error.map_or_else(|| "right".to_owned(), |error| error.to_string());
            println!("{label}: {error}, circuit {:?}", state.breaker);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}
