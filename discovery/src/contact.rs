use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// When a source was last heard of. Clones tell of the same source.
#[derive(Clone)]
pub(crate) struct Contact(Arc<Inner>);

struct Inner {
    born: Instant,
    /// Milliseconds from `born` to the last sign of life, plus one; zero before the first.
    last: AtomicU64,
}

impl Contact {
    /// The source gave a sign of life just now.
    pub(crate) fn note(&self) {
        self.0.last.store(self.now() + 1, Ordering::Relaxed);
    }

    /// How long ago that was, to the millisecond.
    pub(crate) fn age(&self) -> Option<Duration> {
        let last = self.0.last.load(Ordering::Relaxed).checked_sub(1)?;
        Some(Duration::from_millis(self.now().saturating_sub(last)))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.0.born.elapsed().as_millis()).unwrap_or(u64::MAX - 1)
    }
}

impl Default for Contact {
    fn default() -> Self {
        Self(Arc::new(Inner { born: Instant::now(), last: AtomicU64::new(0) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_age_of_a_contact_is_counted_from_the_last_sign_of_life() {
        let contact = Contact::default();
        assert_eq!(contact.age(), None);
        contact.clone().note();
        assert_eq!(contact.age(), Some(Duration::ZERO));
        tokio::time::advance(Duration::from_secs(7)).await;
        assert_eq!(contact.age(), Some(Duration::from_secs(7)));
    }
}
