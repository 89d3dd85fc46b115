//! Drives a consumer of backends by a script instead of a cluster, as a test of it would:
//! `cargo run -p ilb-discovery --features test-util --example fake`.

use std::sync::Arc;

use futures_util::StreamExt;
use ilb_discovery::{Backend, Cause, Discovery, Error, State, testing::FakeDiscovery};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let fake = FakeDiscovery::default();
    let consumer = tokio::spawn(consume(Arc::new(fake.clone())));
    let backend = Backend::new(([10, 0, 0, 1], 5432).into(), State::Ready);
    fake.publish([backend].into_iter().collect());
    tokio::task::yield_now().await;
    fake.fail(Error::Failed { source_name: "the script".into(), cause: Cause::new("as an outage would") });
    let _ = consumer.await;
}

/// What is tested: here it ends at the first failure.
async fn consume(source: Arc<dyn Discovery>) {
    let mut sets = source.watch();
    while let Some(next) = sets.next().await {
        match next {
            Ok(set) => println!("{} backends", set.len()),
            Err(error) => return println!("keeping the last set: {}", error.with_causes()),
        }
    }
}
