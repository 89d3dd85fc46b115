//! Lists and ends the halves of clients' connections that closings leave behind.

use std::{collections::BTreeSet, sync::Arc};

use futures_util::{FutureExt, future::BoxFuture};
use ilb_connections::{Closer, Error, HalfSource, Outcome};
use ilb_reconciler::closing::{Done, Half, Halves};
use tokio::time::Instant;

use super::convert;

/// Facts about halves, and where they are from.
#[derive(Default)]
pub(super) struct HalfWork {
    source: Option<Arc<dyn HalfSource>>,
    halves: Halves,
    /// The ports that clients connect to, and the orders a second that the closer takes; `None` while it cannot close anything.
    limits: Option<(BTreeSet<u16>, u32)>,
    /// Set if some pool closes connections, and does not only show which ones it would close.
    is_on: bool,
}

/// Work about halves that has ended.
#[derive(Debug)]
pub(crate) enum HalfWorkDone {
    /// The halves were listed from this moment on.
    Listed(Instant, Result<Vec<ilb_connections::Half>, Error>),
    /// The closer got an order to end one.
    Ended(Half, Outcome),
}

impl HalfWork {
    pub(super) fn set_source(&mut self, source: Arc<dyn HalfSource>) {
        self.source = Some(source);
    }

    /// Takes in whether some pool closes connections, and within which limits the closer does.
    pub(super) fn set_limits(&mut self, is_on: bool, limits: Option<&ilb_connections::Limits>) {
        self.is_on = is_on;
        let (ports, rate) = (ilb_connections::Limits::entry_ports, ilb_connections::Limits::max_rate);
        if self.limits.as_ref().map(|(known, max_rate)| (known, *max_rate))
            != limits.map(|limits| (ports(limits), rate(limits).get()))
        {
            self.limits = limits.map(|limits| (ports(limits).clone(), rate(limits).get()));
        }
    }

    /// Returns the list of halves that has to be there before a connection is closed, if so.
    pub(super) fn before_closing(&self, now: Instant) -> Option<BoxFuture<'static, HalfWorkDone>> {
        self.halves.must_list(now.into_std()).then(|| self.list(now)).flatten()
    }

    /// Returns the next thing to do about halves while no connection is to be closed.
    pub(super) fn next(&mut self, closer: &Arc<dyn Closer>, now: Instant) -> Option<BoxFuture<'static, HalfWorkDone>> {
        let (_, max_rate) = self.limits.as_ref().filter(|_| self.is_on)?;
        if let Some(half) = self.halves.next(*max_rate, now.into_std()) {
            let (closer, order) = (Arc::clone(closer), convert::order_for_half(&half));
            return Some(async move { HalfWorkDone::Ended(half, closer.close(&order).await) }.boxed());
        }
        let is_due = self.halves.list_at().is_some_and(|at| Instant::from(at) <= now);
        is_due.then(|| self.list(now)).flatten()
    }

    /// Returns the moment at which [`next`](Self::next) has something to do.
    pub(super) fn wake_up(&mut self, now: Instant) -> Option<Instant> {
        let (_, max_rate) = self.limits.as_ref().filter(|_| self.is_on && self.source.is_some())?;
        let next = self.halves.next_at(*max_rate, now.into_std());
        next.into_iter().chain(self.halves.list_at()).min().map(Into::into)
    }

    fn list(&self, begun: Instant) -> Option<BoxFuture<'static, HalfWorkDone>> {
        let (ports, _) = self.limits.as_ref().filter(|_| self.is_on)?;
        let (source, ports) = (Arc::clone(self.source.as_ref()?), ports.clone());
        Some(async move { HalfWorkDone::Listed(begun, source.halves(&ports).await) }.boxed())
    }

    /// Takes in a list, and returns its error if it failed.
    pub(super) fn listed(
        &mut self,
        begun: Instant,
        halves: Result<Vec<ilb_connections::Half>, Error>,
    ) -> Option<Error> {
        let (begun, took) = (begun.into_std(), begun.elapsed());
        match halves {
            Ok(halves) => {
                let halves: Vec<Half> = halves.iter().map(convert::half).collect();
                self.halves.listed(Some(&halves), begun, took);
                None
            }
            Err(error) => {
                self.halves.listed(None, begun, took);
                Some(error)
            }
        }
    }

    /// Takes in that the closer gets the order to close a connection to a backend.
    pub(super) fn ordered(&mut self, now: Instant) {
        self.halves.ordered(now.into_std());
    }

    /// Takes in the outcome of the order that the closer got at this moment.
    pub(super) fn closed(&mut self, ordered: Instant, outcome: &Outcome) {
        if *outcome == Outcome::Closed {
            self.halves.closed(ordered.into_std());
        }
    }

    /// Takes in what has become of a half.
    pub(super) fn done(&mut self, done: Done, now: Instant) {
        self.halves.done(done, now.into_std());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use async_trait::async_trait;
    use ilb_connections::{Ability, Limits, Order};

    use super::*;

    /// Lists no half, and closes nothing.
    struct Idle;

    #[async_trait]
    impl HalfSource for Idle {
        async fn halves(&self, _: &BTreeSet<u16>) -> Result<Vec<ilb_connections::Half>, Error> {
            Ok(Vec::new())
        }
    }

    #[async_trait]
    impl Closer for Idle {
        async fn close(&self, _: &Order) -> Outcome {
            Outcome::Gone
        }

        async fn ability(&self) -> Ability {
            Ability::Unable("it is idle".to_owned())
        }
    }

    #[tokio::test]
    async fn what_closings_left_behind_is_no_longer_looked_for_once_there_is_only_a_dry_run() {
        let limits = Limits::new(["10.0.0.0/8".parse().unwrap()], [80], [3333]).unwrap();
        let (closer, now): (Arc<dyn Closer>, _) = (Arc::new(Idle), Instant::now());
        let mut work = HalfWork::default();
        work.set_source(Arc::new(Idle));
        work.set_limits(true, Some(&limits));
        let HalfWorkDone::Listed(begun, halves) = work.before_closing(now).unwrap().await else { panic!("no list") };
        assert!(work.listed(begun, halves).is_none());
        work.ordered(now);
        work.closed(now, &Outcome::Closed);
        let later = now + Duration::from_secs(2);
        assert!(work.wake_up(later).is_some() && work.next(&closer, later).is_some());
        work.set_limits(false, Some(&limits));
        assert!(work.wake_up(later).is_none() && work.next(&closer, later).is_none());
    }
}
