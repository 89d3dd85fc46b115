//! Another program that writes to a Traefik.

use tokio::{sync::watch, task::JoinHandle};

/// A program that keeps writing to a Traefik.
pub(crate) struct Writer {
    /// Set to end it.
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) task: JoinHandle<()>,
}
