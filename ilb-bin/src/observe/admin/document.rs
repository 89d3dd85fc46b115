//! Documents that are made from the facts at most once per change, however many read them.

use std::{
    fmt,
    time::{Duration, Instant as Clock},
};

use axum::body::Bytes;
use tokio::{
    sync::{Mutex, watch},
    time::{Instant, sleep_until},
};

use crate::observe::insight::Facts;

/// A document that all its readers share.
///
/// A reader gets the document as it is now or was a moment ago, and never one from before a change that is not routine. It
/// waits if the document was made only a moment ago, so that making it takes no more than a tenth of a core.
pub(super) struct Document {
    make: Box<Make>,
    latest: Mutex<Latest>,
}

/// A function that makes a document from the facts of this moment.
type Make = dyn Fn() -> Result<String, String> + Send + Sync;

/// The document as it was made last.
struct Latest {
    /// Notified of changes since then.
    changes: watch::Receiver<Facts>,
    made: Option<Made>,
}

struct Made {
    document: Result<Bytes, String>,
    /// The moment before which no other one is made.
    until: Instant,
}

/// Minimum time between two documents.
const MIN_PAUSE: Duration = Duration::from_millis(50);

/// Maximum time between two documents, if the second one is asked for.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// Pause after a document, in multiples of the time that it took to make.
const PAUSE_PER_COST: u32 = 10;

impl Document {
    /// Creates the document that `make` makes. `changes` is notified of every change that is not routine.
    pub(super) fn new(
        changes: watch::Receiver<Facts>,
        make: impl Fn() -> Result<String, String> + Send + Sync + 'static,
    ) -> Self {
        Self { make: Box::new(make), latest: Mutex::new(Latest { changes, made: None }) }
    }

    /// Returns the document, or the reason why it cannot be made.
    pub(super) async fn get(&self) -> Result<Bytes, String> {
        let mut latest = self.latest.lock().await;
        let Latest { changes, made } = &mut *latest;
        if let Some(made) = made.as_ref().filter(|made| Instant::now() < made.until) {
            // An error means that there will be no change.
            if !changes.has_changed().unwrap_or(false) {
                return made.document.clone();
            }
            sleep_until(made.until).await;
        }
        // First, so that a change in between is one that the document may lack.
        changes.mark_unchanged();
        let begun = Clock::now();
        let document = (self.make)().map(Bytes::from);
        let pause = (begun.elapsed() * PAUSE_PER_COST).clamp(MIN_PAUSE, MAX_PAUSE);
        *made = Some(Made { document: document.clone(), until: Instant::now() + pause });
        document
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    use futures_util::future::join_all;

    use super::*;
    use crate::observe::insight::{Insight, Reload};

    /// Returns a document that counts how often it was made, and the counter.
    fn document(insight: &Insight) -> (Document, Arc<AtomicU32>) {
        let counter = Arc::new(AtomicU32::new(0));
        let (facts, times) = (insight.clone(), Arc::clone(&counter));
        let make = move || {
            times.fetch_add(1, Ordering::Relaxed);
            Ok(facts.snapshot().reloads.counts.values().sum::<u64>().to_string())
        };
        (Document::new(insight.subscribe(), make), counter)
    }

    #[tokio::test(start_paused = true)]
    async fn hundreds_of_readers_share_one_document() {
        let insight = Insight::new();
        let (document, made) = document(&insight);
        join_all((0..500).map(|_| document.get())).await;
        assert_eq!(made.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_sees_every_change_before_its_request() {
        let insight = Insight::new();
        let (document, made) = document(&insight);
        for change in 1..=3_u8 {
            assert_eq!(document.get().await.unwrap(), (change - 1).to_string());
            insight.reloaded(Reload::Applied);
            assert_eq!(document.get().await.unwrap(), change.to_string());
        }
        assert_eq!(made.load(Ordering::Relaxed), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn changes_in_quick_succession_make_few_documents() {
        let insight = Insight::new();
        let (document, made) = document(&insight);
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(10) {
            insight.reloaded(Reload::Applied);
            document.get().await.unwrap();
        }
        assert!(made.load(Ordering::Relaxed) <= 201, "{made:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_grows_without_a_change_is_not_old() {
        let insight = Insight::new();
        let (document, made) = document(&insight);
        document.get().await.unwrap();
        tokio::time::advance(MIN_PAUSE).await;
        document.get().await.unwrap();
        assert_eq!(made.load(Ordering::Relaxed), 2);
    }
}
