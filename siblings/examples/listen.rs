//! Asks replicas for their connections and prints what they answer: `listen 10.0.3.7:8081 10.0.4.2:8081`.

use std::{collections::BTreeSet, net::SocketAddr};

use futures_util::{StreamExt, stream};
use ilb_siblings::{SiblingEvent, draw_identity, poll};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), std::net::AddrParseError> {
    let addresses = std::env::args().skip(1).map(|address| address.parse::<SocketAddr>());
    let addresses = addresses.collect::<Result<BTreeSet<_>, _>>()?;
    let mut events = Box::pin(poll(draw_identity(), stream::iter([addresses])));
    while let Some(event) = events.next().await {
        match event {
            SiblingEvent::Heard { address, replica } => println!("{address} is {replica}"),
            SiblingEvent::Reported { replica, pools, .. } => {
                for (pool, report) in pools {
                    let connections: u64 = report.connections.values().copied().map(u64::from).sum();
                    println!("{replica} has {connections} connections in the pool {pool}, {:?} ago", report.age);
                }
            }
            SiblingEvent::Lost { address, problem, .. } => println!("{address} is lost: {problem}"),
            SiblingEvent::Left { address, .. } => println!("{address} has left"),
            _ => {}
        }
    }
    Ok(())
}
