//! The time since the last contact with a source.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// Time of the last contact with a source. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Contact(Arc<Clock>);

#[derive(Debug)]
struct Clock {
    started: Instant,
    /// Milliseconds from `started` to the last contact, plus one; zero before the first.
    last: AtomicU64,
}

impl Contact {
    /// Records a contact just now.
    pub(crate) fn note(&self) {
        self.0.last.store(self.0.now() + 1, Ordering::Relaxed);
    }

    /// Returns the time since the last contact, to the millisecond.
    pub(crate) fn age(&self) -> Option<Duration> {
        let last = self.0.last.load(Ordering::Relaxed).checked_sub(1)?;
        Some(Duration::from_millis(self.0.now().saturating_sub(last)))
    }
}

impl Clock {
    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX - 1)
    }
}

impl Default for Contact {
    fn default() -> Self {
        Self(Arc::new(Clock { started: Instant::now(), last: AtomicU64::new(0) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_age_of_a_contact_is_counted_from_the_last_one() {
        let contact = Contact::default();
        assert_eq!(contact.age(), None);
        contact.clone().note();
        assert_eq!(contact.age(), Some(Duration::ZERO));
        tokio::time::advance(Duration::from_secs(7)).await;
        assert_eq!(contact.age(), Some(Duration::from_secs(7)));
    }
}
