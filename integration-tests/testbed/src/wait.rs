use std::time::Duration;

use crate::process::Ended;
use anyhow::bail;
use tokio::time::{Instant, sleep, timeout_at};

/// Asks `condition` again and again until it gives a value, and returns that. Gives up, with the last reason, after a
/// time that no working system needs.
pub async fn eventually<T>(what: &str, condition: impl AsyncFnMut() -> anyhow::Result<T>) -> anyhow::Result<T> {
    eventually_within(Duration::from_secs(60), what, condition).await
}

/// The same with another time to give up after.
pub async fn eventually_within<T>(
    limit: Duration,
    what: &str,
    mut condition: impl AsyncFnMut() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + limit;
    let mut last = anyhow::anyhow!("it was never answered");
    loop {
        match timeout_at(deadline, condition()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(reason)) if reason.is::<Ended>() => return Err(reason.context(format!("waiting for: {what}"))),
            Ok(Err(reason)) => last = reason,
            Err(_) => {}
        }
        if Instant::now() >= deadline {
            bail!("not within {limit:?}: {what} ({last:#})");
        }
        sleep(Duration::from_millis(5)).await;
    }
}
