//! Drives a consumer of backends without a cluster, as a test of it would:
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
    fake.fail(Error::Failed { source_name: "the script".into(), cause: Cause::new("connection refused") });
    let _ = consumer.await;
}

/// Stands for the code under test. It ends at the first failure.
async fn consume(source: Arc<dyn Discovery>) {
    let mut sets = source.watch();
    while let Some(next) = sets.next().await {
        match next {
            Ok(set) => println!("{} backends", set.len()),
            Err(error) => return println!("keeping the last set: {}", error.with_causes()),
        }
    }
}
