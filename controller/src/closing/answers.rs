//! What a pool answers to those who close its connections.

use std::{collections::BTreeSet, net::SocketAddr};

use ilb_reconciler::closing::{Done, Order, Verdict, Why};
use tokio::time::Instant;

use super::{
    orders::ClosingResult,
    pool::{Known, PoolClosing, PoolView},
};
use crate::{
    desired::Desired,
    event::{Event, Observer},
    pool::Pool,
};

/// Answers to what [`Closings`](super::Closings) asks. A pool whose connections are never closed has no answers.
impl Pool {
    /// Returns `true` if its connections may be closed.
    pub(super) fn may_close(&self) -> bool {
        self.closing.is_some()
    }

    /// Returns `true` if its connections are closed, and not only shown as what would be closed.
    pub(super) fn closes(&self) -> bool {
        self.closing.as_ref().is_some_and(|closing| !closing.is_dry_run())
    }

    /// Returns the backends that left it and still have connections.
    pub(super) fn left_backends(&self) -> impl Iterator<Item = SocketAddr> {
        self.closing.iter().flat_map(PoolClosing::left_backends)
    }

    /// Takes in what else is known. `in_force` is what is proved to be in force for this pool, `of_other_pools` are the backends
    /// that left it and that others have. Returns `true` if a decision is due.
    pub(super) fn view_closing(
        &mut self,
        known: &Known,
        in_force: Option<&Desired>,
        of_other_pools: BTreeSet<SocketAddr>,
        now: Instant,
    ) -> bool {
        let Some(closing) = &mut self.closing else { return false };
        let is_present =
            |desired: &Desired| self.seen.as_ref().is_some_and(|seen| seen.iter_ready().eq(desired.backends.iter()));
        let of_pool = PoolView {
            is_in_force: in_force.is_some_and(is_present),
            can_count: self.policy.is_counting(),
            suspects: self.policy.in_doubt(),
            next_backends: self.policy.next_backends(),
            of_other_pools,
        };
        closing.view(known, of_pool, now)
    }

    /// Returns the reason for which it wants to close connections.
    pub(super) fn wants_to_close(&self, now: Instant) -> Option<Why> {
        self.closing.as_ref()?.wants(now)
    }

    /// Decides, if that is due, and returns the decision.
    pub(super) fn decide_closing(
        &mut self,
        has_turn: bool,
        now: Instant,
        observer: &mut dyn Observer,
    ) -> Option<(u64, Verdict)> {
        self.closing.as_mut()?.decide(&self.info.spec.name, has_turn, now, observer)
    }

    /// Returns the moment at which another decision may differ without news.
    pub(super) fn close_again_at(&self) -> Option<Instant> {
        self.closing.as_ref()?.ask_again()
    }

    /// Takes in what became of an order.
    pub(super) fn closing_done(&mut self, generation: u64, order: &Order, done: Done, result: &ClosingResult) {
        let Some(closing) = &mut self.closing else { return };
        closing.done(generation, order, done, result);
    }

    /// Reports which connections the rules are about, after one sample.
    pub(crate) fn plan_closings(&self, observer: &mut dyn Observer) {
        if let Some(closing) = &self.closing {
            observer.on(&Event::ClosingsPlanned { pool: self.name(), outlook: &closing.outlook() });
        }
    }

    /// Reports that the present run ends with this pool.
    pub(crate) fn end_closings(&mut self, observer: &mut dyn Observer) {
        if let Some(closing) = &mut self.closing {
            closing.end(&self.info.spec.name, observer);
        }
    }
}
