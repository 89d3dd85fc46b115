//! Gives orders to a closer, one at a time.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use ilb_connections::{Ability, Closer, NotNow, Outcome, Refusal};
use ilb_reconciler::closing::Order;
use ilb_traefik_client::Name;
use tokio::time::Instant;

use super::{
    convert,
    halves::{HalfWork, HalfWorkDone},
};

/// An order of a pool.
#[derive(Clone, Debug)]
pub(crate) struct OrderId {
    pub(crate) pool: Name,
    /// Number of what gave the order: a pool that is removed and added again is another one.
    pub(crate) generation: u64,
    pub(crate) order: Order,
}

/// Result of an order to close a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClosingResult {
    /// The connection was closed.
    Closed,
    /// The connection had ended by itself.
    Gone,
    /// The connection did not meet this condition at the second look, and was left as it is.
    NotNow(NotNow),
    /// The closer does not do that.
    Refused(Refusal),
    /// The closer could not, or did not answer.
    Failed(String),
    /// The order was dropped, because the closer failed at another one or took too long.
    NotTried,
    /// The order was only shown: a dry run was asked for, or there is no closer.
    Shown,
}

/// Work with the closer that has ended.
#[derive(Debug)]
pub(crate) enum Finished {
    Ability(Ability),
    /// The order, the moment at which the closer got it, and its outcome.
    Order(OrderId, Instant, Outcome),
    Half(HalfWorkDone),
}

/// Orders that were taken from those that wait.
#[derive(Debug, Default)]
pub(super) struct Started {
    /// Cookie of the connection that the closer is now asked to close.
    pub(super) cookie: Option<u64>,
    /// The orders that have become too old.
    pub(super) late: Vec<OrderId>,
}

/// The orders that wait, the one that is being executed, and what is known of the closer.
pub(super) struct Orders {
    closer: Option<Arc<dyn Closer>>,
    /// Orders with the moment at which they were given, oldest first.
    queue: VecDeque<(Instant, OrderId)>,
    work: Option<BoxFuture<'static, Finished>>,
    ability: Option<Ability>,
    pub(super) halves: HalfWork,
    /// Moment at which the closer is asked again what it can do.
    ask_at: Option<Instant>,
}

/// Time after which an order is too old to be executed.
const MAX_AGE: Duration = Duration::from_secs(1);

/// Age up to which an order is recent.
const RECENT: Duration = Duration::from_millis(20);

/// Time after which a closer is asked again what it can do.
const PERIOD_WHILE_ABLE: Duration = Duration::from_secs(10);
const PERIOD_WHILE_UNABLE: Duration = Duration::from_secs(2);

impl ClosingResult {
    /// Names of all results.
    pub const NAMES: [&'static str; 7] = ["closed", "gone", "not-now", "refused", "failed", "not-tried", "dry-run"];

    /// Returns the name used in logs, metrics and documents.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Closed => Self::NAMES[0],
            Self::Gone => Self::NAMES[1],
            Self::NotNow(_) => Self::NAMES[2],
            Self::Refused(_) => Self::NAMES[3],
            Self::Failed(_) => Self::NAMES[4],
            Self::NotTried => Self::NAMES[5],
            Self::Shown => Self::NAMES[6],
        }
    }
}

impl From<&Outcome> for ClosingResult {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Closed => Self::Closed,
            Outcome::Gone => Self::Gone,
            Outcome::NotNow(condition) => Self::NotNow(*condition),
            Outcome::Refused(refusal) => Self::Refused(*refusal),
            Outcome::Failed(why) => Self::Failed(why.clone()),
        }
    }
}

impl Orders {
    pub(super) fn new() -> Self {
        let (queue, halves) = (VecDeque::new(), HalfWork::default());
        Self { closer: None, queue, work: None, ability: None, halves, ask_at: None }
    }

    pub(super) fn set_closer(&mut self, closer: Arc<dyn Closer>) {
        self.closer = Some(closer);
    }

    /// Returns the ability of the closer, once it has answered.
    pub(super) fn ability(&self) -> Option<&Ability> {
        self.ability.as_ref()
    }

    pub(super) fn add(&mut self, order: OrderId, now: Instant) {
        self.queue.push_back((now, order));
    }

    /// Returns the moment up to which the orders that wait are recent; `None` if there are none or they are not.
    pub(super) fn recent_until(&self, now: Instant) -> Option<Instant> {
        self.queue.front().map(|(given, _)| *given + RECENT).filter(|until| *until > now)
    }

    /// Starts what is due. `is_on` is set if some pool closes connections.
    pub(super) fn start(&mut self, is_on: bool, now: Instant) -> Started {
        let mut started = Started::default();
        let Some(closer) = &self.closer else { return started };
        while self.queue.front().is_some_and(|(given, _)| now.duration_since(*given) >= MAX_AGE) {
            started.late.extend(self.queue.pop_front().map(|(_, order)| order));
        }
        if self.work.is_some() {
            return started;
        }
        let limits = if let Some(Ability::Able(limits)) = &self.ability { Some(limits) } else { None };
        self.halves.set_limits(is_on, limits);
        let closer = Arc::clone(closer);
        self.work = if self.ask_at.is_none_or(|at| at <= now) {
            self.ask_at = Some(now + PERIOD_WHILE_UNABLE);
            Some(async move { Finished::Ability(closer.ability().await) }.boxed())
        } else if self.queue.is_empty() {
            self.halves.next(&closer, now).map(|work| work.map(Finished::Half).boxed())
        } else if let Some(list) = self.halves.before_closing(now) {
            Some(list.map(Finished::Half).boxed())
        } else {
            self.queue.pop_front().map(|(_, order)| {
                self.halves.ordered(now);
                let for_closer = convert::order(&order.order);
                started.cookie = Some(for_closer.cookie);
                async move { Finished::Order(order, now, closer.close(&for_closer).await) }.boxed()
            })
        };
        started
    }

    /// Returns the moment at which something is to be started.
    pub(super) fn wake_up(&mut self, now: Instant) -> Option<Instant> {
        if self.work.is_some() || self.closer.is_none() {
            return None;
        }
        self.ask_at.into_iter().chain(self.halves.wake_up(now)).min()
    }

    /// Waits for the work to end. Without work it never returns.
    pub(super) async fn next(&mut self) -> Finished {
        let Some(work) = &mut self.work else { return std::future::pending().await };
        let finished = work.await;
        self.work = None;
        finished
    }

    /// Takes in the ability of the closer, and returns it if it is news.
    pub(super) fn able(&mut self, ability: Ability) -> Option<&Ability> {
        let is_able = matches!(ability, Ability::Able(_));
        let period = if is_able { PERIOD_WHILE_ABLE } else { PERIOD_WHILE_UNABLE };
        self.ask_at = Some(Instant::now() + period);
        let is_news = self.ability.as_ref() != Some(&ability);
        self.ability = Some(ability);
        self.ability.as_ref().filter(|_| is_news)
    }

    /// Takes in an outcome. If the closer failed or refused, returns the orders that wait, which are not executed: much may
    /// have changed when it works again.
    pub(super) fn finished(&mut self, outcome: &Outcome) -> Vec<OrderId> {
        if let Outcome::Failed(_) = outcome {
            self.ask_at = None;
        }
        match outcome {
            Outcome::Failed(_) | Outcome::Refused(_) => self.queue.drain(..).map(|(_, order)| order).collect(),
            Outcome::Closed | Outcome::Gone | Outcome::NotNow(_) => Vec::new(),
        }
    }

    /// Removes the orders of a pool that wait, and returns them.
    pub(super) fn forget(&mut self, pool: &Name) -> Vec<OrderId> {
        let (forgotten, kept) = std::mem::take(&mut self.queue).into_iter().partition(|(_, order)| order.pool == *pool);
        self.queue = kept;
        let forgotten: VecDeque<(Instant, OrderId)> = forgotten;
        forgotten.into_iter().map(|(_, order)| order).collect()
    }
}
