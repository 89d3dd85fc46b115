//! The lines that a test logs.

use std::{
    io,
    sync::{Arc, Mutex},
};

use tracing::{Subscriber, subscriber::DefaultGuard};
use tracing_subscriber::registry::LookupSpan;

/// Collects the lines that this thread logs.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// Starts to collect lines, until the guard is dropped.
    pub(crate) fn collect() -> (Self, DefaultGuard) {
        let (lines, subscriber) = Self::subscriber();
        (lines, tracing::subscriber::set_default(subscriber))
    }

    /// Returns a subscriber that collects lines.
    pub(crate) fn subscriber() -> (Self, impl Subscriber + Send + Sync + for<'a> LookupSpan<'a>) {
        let lines = Self::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().without_time().with_target(false).with_ansi(false);
        (lines, subscriber.with_writer(move || writer.clone()).finish())
    }

    /// Returns the lines since the last call.
    pub(crate) fn take(&self) -> Vec<String> {
        let text = std::mem::take(&mut *self.0.lock().unwrap());
        String::from_utf8(text).unwrap().lines().map(|line| line.trim().to_owned()).collect()
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
