//! The numbers of the last ten minutes and of the last day, of each pool and of its backends.

mod series;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use ilb_connections::{EndedBy, Sample};
use tokio::time::Instant;

pub(crate) use self::series::{Numbers, Point, Series, Span};

/// History of a pool and of its backends. Copies share it.
#[derive(Clone, Debug)]
pub(crate) struct PoolHistory(Arc<Mutex<Content>>);

#[derive(Debug)]
struct Content {
    pool: Series,
    backends: BTreeMap<SocketAddr, BackendHistory>,
    budget: Budget,
}

#[derive(Debug)]
struct BackendHistory {
    series: Series,
    _token: Token,
}

/// Limits the number of backends with a history, over all pools.
#[derive(Clone, Debug, Default)]
pub(crate) struct Budget(Arc<AtomicUsize>);

/// Place of one backend in the budget, which is free again when this is dropped.
#[derive(Debug)]
struct Token(Arc<AtomicUsize>);

impl Budget {
    /// Maximum number of backends with a history, in all pools together: 3 MB of them. Backends beyond these have none; the
    /// histories of pools have them all.
    pub(crate) const MAX_BACKENDS: usize = 400;

    fn take(&self) -> Option<Token> {
        // Only the loop takes places, so nothing comes in between.
        if self.0.load(Ordering::Relaxed) >= Self::MAX_BACKENDS {
            return None;
        }
        self.0.fetch_add(1, Ordering::Relaxed);
        Some(Token(Arc::clone(&self.0)))
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl PoolHistory {
    pub(crate) fn new(budget: &Budget) -> Self {
        let content = Content { pool: Series::new(), backends: BTreeMap::new(), budget: budget.clone() };
        Self(Arc::new(Mutex::new(content)))
    }

    /// Takes in a sample of the pool's backends. `imbalance` is the ratio at this moment.
    pub(super) fn sampled(
        &self,
        sample: &Sample,
        is_known: impl Fn(&SocketAddr) -> bool,
        imbalance: Option<f64>,
        now: Instant,
    ) {
        let mut content = self.content();
        let Content { pool, backends, budget } = &mut *content;
        let mut sum = Numbers { imbalance, ..Numbers::default() };
        let mut failed: BTreeMap<SocketAddr, u32> = BTreeMap::new();
        for ending in
            sample.endings().iter().filter(|ending| ending.by == EndedBy::NeverAnswered && is_known(&ending.backend))
        {
            *failed.entry(ending.backend).or_default() += 1;
        }
        for (address, load) in sample.iter().filter(|(address, _)| is_known(address)) {
            sum.add(&Numbers::new(&load, failed.get(&address).copied()));
            if !backends.contains_key(&address)
                && let Some(token) = budget.take()
            {
                backends.insert(address, BackendHistory { series: Series::new(), _token: token });
            }
        }
        pool.add(&sum, now);
        // A backend that is not in the sample has no connections.
        for (address, history) in backends.iter_mut() {
            history.series.add(&Numbers::new(&sample.get(*address), failed.get(address).copied()), now);
        }
    }

    /// Forgets the backends that are no longer known.
    pub(super) fn retain(&self, is_known: impl Fn(&SocketAddr) -> bool) {
        self.content().backends.retain(|address, _| is_known(address));
    }

    /// Returns the steps of the pool, oldest first.
    pub(crate) fn pool(&self, span: Span, now: Instant) -> Vec<Point> {
        self.content().pool.points(span, now)
    }

    /// Returns the means of the last complete steps, some 10 s, if there are any.
    pub(crate) fn recent(&self, now: Instant) -> Option<Point> {
        self.content().pool.recent(now)
    }

    /// Returns the steps of each backend that has a history.
    pub(crate) fn backends(&self, span: Span, now: Instant) -> Vec<(SocketAddr, Vec<Point>)> {
        let content = self.content();
        content.backends.iter().map(|(address, history)| (*address, history.series.points(span, now))).collect()
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
