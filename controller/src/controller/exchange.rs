//! The loop's part in the exchange with the siblings.

use std::time::Duration;

use futures_util::{Stream, StreamExt};
use ilb_siblings::{OwnReports, SiblingEvent};
use tokio::{sync::watch, time::Instant};

use super::Controller;
use crate::{
    event::{Event, Observer},
    pool::Pool,
    siblings::{MAX_WAIT, Siblings},
};

impl Controller {
    /// Maximum time for which the first push waits for the reports of the siblings.
    ///
    /// A replica that joins others would place its first connections without knowing where theirs are.
    pub const MAX_WAIT_FOR_SIBLINGS: Duration = MAX_WAIT;

    /// Makes this process one of several replicas before the same backends, which balance as one: `events` is what it hears
    /// from the others, and `reports` what it tells them, under the identity that is in there.
    ///
    /// Pools by round robin, and those whose connections cannot be counted, take no part. The first push waits until all
    /// siblings have been asked, for at most [`MAX_WAIT_FOR_SIBLINGS`](Self::MAX_WAIT_FOR_SIBLINGS). Apart from that, a
    /// replica that hears no sibling does what it would do alone.
    #[must_use]
    pub fn with_siblings(
        self,
        reports: watch::Sender<OwnReports>,
        events: impl Stream<Item = SiblingEvent> + Send + 'static,
    ) -> Self {
        Self { siblings: Some(Siblings::new(reports, events.boxed())), ..self }
    }

    /// Begins to take part, if there is an exchange.
    pub(super) fn begin_exchange(&mut self) {
        if let Some(siblings) = &mut self.siblings {
            siblings.begin(&mut self.pools);
        }
    }

    /// Returns `true` while pushes wait for the siblings.
    pub(super) fn awaits_siblings(&self) -> bool {
        self.siblings.as_ref().is_some_and(Siblings::is_awaited)
    }

    /// Returns the moment until which pushes wait for the siblings; `None` if they do not. At the end of the wait, the plans
    /// that were made before the siblings reported are made again.
    pub(super) fn advance_exchange(&mut self) -> Option<Instant> {
        let siblings = self.siblings.as_mut()?;
        let until = siblings.waits_until(Instant::now());
        if siblings.has_just_heard() {
            self.pools.values_mut().for_each(Pool::renew);
        }
        until
    }

    /// Takes in an event of the exchange with the siblings.
    pub(super) fn heard(&mut self, event: SiblingEvent) {
        self.observers.on(&Event::Sibling { event: &event });
        if let Some(siblings) = &mut self.siblings {
            siblings.handle(event, &mut self.pools, &mut self.observers);
        }
    }
}
