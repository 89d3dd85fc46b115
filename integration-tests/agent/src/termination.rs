//! The request of the kubelet to end.

use tokio::signal::unix::{SignalKind, signal};

/// Waits for SIGTERM. Without a handler the first process of a pod would not receive that signal.
pub(crate) async fn requested() -> anyhow::Result<()> {
    signal(SignalKind::terminate())?.recv().await;
    Ok(())
}
