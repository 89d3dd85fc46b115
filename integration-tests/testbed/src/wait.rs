//! Waiting for a condition instead of sleeping.

use std::time::Duration;

use anyhow::bail;
use tokio::time::{Instant, sleep, timeout_at};

use crate::process::Ended;

/// Tries `condition` again and again until it returns a value, and returns that. Gives up after a minute, which no working
/// system needs, with the error of the last attempt.
pub async fn eventually<T>(what: &str, condition: impl AsyncFnMut() -> anyhow::Result<T>) -> anyhow::Result<T> {
    eventually_within(Duration::from_secs(60), what, condition).await
}

/// Works like [`eventually`] with a time limit of `limit`.
pub async fn eventually_within<T>(
    limit: Duration,
    what: &str,
    mut condition: impl AsyncFnMut() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + limit;
    let mut last = anyhow::anyhow!("the first attempt has not ended");
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
