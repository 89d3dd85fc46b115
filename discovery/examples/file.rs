//! Watches a list of backends in a file: `cargo run -p ilb-discovery --features file --example file -- backends.yaml`.

use futures_util::StreamExt;
use ilb_discovery::{AddressPolicy, Discovery, FileDiscovery};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: file PATH")?;
    let ours = AddressPolicy::default().allow_only(["10.0.0.0/8".parse()?, "fd00::/8".parse()?]);
    let mut sets = FileDiscovery::new(path).with_addresses(ours).watch();
    while let Some(next) = sets.next().await {
        match next {
            Ok(set) => println!("{} backends, {} ready: {set:?}", set.len(), set.ready().len()),
            Err(error) => eprintln!("keeping the last set: {}", error.with_causes()),
        }
    }
    Ok(())
}
