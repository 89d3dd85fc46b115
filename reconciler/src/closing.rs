//! Decides which live connections of a pool to close on purpose, when, and why.
//!
//! [`Closing`] is told of everything that it may know: sets of backends, samples of connections, what else is known (a
//! [`View`]), and what became of its orders. Then it [decides](Closing::decide): deterministically, and only by knowledge
//! that is fresh and proved. It closes for four reasons, the most urgent first:
//!
//! | reason | closes |
//! |---|---|
//! | [`Role`] | all of a backend that no longer matches the selector, at once |
//! | [`Drain`] | what is left on a backend that leaves, spread over the time that there is |
//! | [`Age`] | what is older than a limit |
//! | [`Rebalance`] | the surplus of the fullest backends, after a scale-out |
//!
//! What clients leave behind that ignore the end is ended by [`Halves`].
//!
//! Never more than the others have room for, minus those that are still away; never a backend below its goal; at most as
//! many as have proved to come back; and nothing while anything is in doubt ([`Hold`]).

mod age;
mod choice;
mod connection;
mod doubts;
mod drain;
mod goals;
mod halves;
mod hold;
mod knowledge;
mod ledger;
mod order;
mod outlook;
mod pace;
mod pauses;
mod policy;
mod rebalance;
mod rebalancing;
mod replicas;
mod returns;
mod role;
mod search;
mod spending;
mod together;
mod turns;
mod verdict;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::{Duration, Instant},
};

use ilb_discovery::BackendSet;

pub use crate::closing::{
    connection::{Answered, Connection, Counted},
    halves::{Half, Halves},
    hold::Hold,
    knowledge::{Origin, View},
    order::{AnswerRule, Conditions, Done, How, Order, Why},
    outlook::Outlook,
    pauses::PauseReason,
    policy::{Age, ClosingPolicy, Drain, HourlyBudget, InvalidWindow, Rebalance, Role, Settle, Window},
    turns::Turns,
    verdict::{ClosingState, Verdict},
};
use crate::closing::{knowledge::Knowledge, ledger::Ledger, rebalancing::Rebalancing, replicas::Together};

/// Decides which live connections of one pool to close.
///
/// Holds what it was told last, the orders without a result, and what has become of the connections that were closed.
#[derive(Clone, Debug)]
pub struct Closing {
    policy: ClosingPolicy,
    knowledge: Knowledge,
    ledger: Ledger,
    rebalancing: Rebalancing,
    together: Together,
    /// The reason for which it closed last.
    running: Option<Why>,
}

/// A decision in progress: its moment, and the orders so far.
pub(crate) struct Deciding<'a> {
    now: Instant,
    orders: &'a mut Vec<Order>,
}

impl Closing {
    /// Creates the decisions of a pool of which nothing is known yet. Nothing is closed until [`ClosingPolicy::settle`]
    /// after `now`.
    pub fn new(policy: ClosingPolicy, now: Instant) -> Self {
        Self {
            policy,
            knowledge: Knowledge::new(now),
            ledger: Ledger::default(),
            rebalancing: Rebalancing::default(),
            together: Together::default(),
            running: None,
        }
    }

    /// Creates the decisions of a pool that takes the place of `before`, because its settings have changed. What has become
    /// of orders, the closings of the last hour and a pause count on, and everything else has to be found out again.
    pub fn replacing(before: &Self, policy: ClosingPolicy, now: Instant) -> Self {
        Self { ledger: before.ledger.clone(), together: before.together.clone(), ..Self::new(policy, now) }
    }

    /// Returns the policy.
    pub fn policy(&self) -> &ClosingPolicy {
        &self.policy
    }

    /// Takes in a set of backends, and where it is from.
    pub fn backends(&mut self, set: &BackendSet, origin: &Origin, now: Instant) {
        if self.knowledge.backends(set, origin, now) {
            self.rebalancing.stop();
        }
    }

    /// Takes in the moment at which a backend that is leaving will be killed, which is the `deletionTimestamp` of a pod.
    pub fn will_be_killed(&mut self, backend: SocketAddr, at: Instant) {
        self.knowledge.will_be_killed(backend, at);
    }

    /// Returns the backends that left the set and whose connections are still to be counted.
    pub fn to_count(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.knowledge.left().map(|(backend, _)| backend)
    }

    /// Returns `true` if the next sample has to come with a description of each connection.
    pub fn needs_connections(&self, now: Instant) -> bool {
        self.describe_at(now).is_some_and(|at| at <= now)
    }

    /// Returns the moment from which on a sample has to come with a description of each connection; `None` if it need not.
    ///
    /// A description costs much more than the counts. So there is one only if something may be closed soon, and at most one
    /// a second; while all connections of a backend are being closed, or those that may be are hard to find, it is ten.
    pub fn describe_at(&self, now: Instant) -> Option<Instant> {
        const URGENT_PERIOD: Duration = Duration::from_millis(100);
        const LEAD: Duration = Duration::from_secs(5);
        let after = |period| Some(self.knowledge.described().map_or(now, |at| at + period));
        if self.policy.role.is_some() && self.ledger.pause(now).is_none() {
            let left = self.knowledge.left().filter(|(backend, _)| self.knowledge.counted(*backend) > 0);
            let newest = left.map(|(_, since)| since).max();
            match (newest, self.knowledge.described()) {
                // It was not described among the connections to close.
                (Some(newest), Some(described)) if described < newest => return Some(now),
                (Some(_), _) => return after(URGENT_PERIOD),
                (None, _) => {}
            }
        }
        let is_soon = |at: Option<Instant>| at.is_some_and(|at| at <= now + LEAD);
        let is_wanted = self.ledger.has_pretended()
            || self.policy.age.is_some()
            || is_soon(self.next_drain(now))
            || is_soon(self.next_rebalance(now));
        let period = || self.ledger.search.period(self.knowledge.counted_in_all(), now);
        if is_wanted { after(period()) } else { None }
    }

    /// Takes in a sample that was begun at `now`: the connections of each backend that is in the set or
    /// [left it](Self::to_count), and a description of each connection, if [it is needed](Self::needs_connections). A
    /// backend that is missing has none.
    pub fn sample(&mut self, counts: &BTreeMap<SocketAddr, Counted>, connections: Option<&[Connection]>, now: Instant) {
        let opened = counts.values().map(|counted| u64::from(counted.opened)).sum();
        let ended = counts.values().map(|counted| u64::from(counted.closed)).sum();
        self.ledger.sampled(connections, opened, ended, now);
        self.knowledge.sampled(counts, connections, now);
        if let Some(policy) = self.policy.rebalance {
            // Without a backend in doubt, or a sibling that is not heard, the others may look level. So they may while it is
            // unknown whether connections that are to be closed will be.
            let are_others_known = self.suspects().is_empty() && self.together.is_complete(now);
            let are_all_known = are_others_known && !self.ledger.awaits_results();
            self.rebalancing.sampled(&policy, &self.goals(), are_all_known, now);
        }
    }

    /// Takes in what else is known. Until the first time, nothing is closed.
    pub fn view(&mut self, view: View, now: Instant) {
        self.knowledge.viewed(view, now);
    }

    /// Takes in what has become of an order. That of an unknown order is ignored.
    pub fn done(&mut self, id: u64, done: Done, now: Instant) {
        self.ledger.done(id, done, now);
    }

    /// Returns the number of connections that were closed on purpose, and whose clients have not come back yet.
    pub fn away(&self) -> u64 {
        self.ledger.away()
    }

    /// Returns the reason for which it wants to close connections now, if nothing keeps it from that.
    pub fn wants(&self, now: Instant) -> Option<Why> {
        self.reason(now).ok().flatten()
    }

    /// Decides what to close now. The orders count as closed until their [result](Self::done) is known, so that another
    /// decision without news orders nothing.
    pub fn decide(&mut self, now: Instant) -> Verdict {
        let is_dry_run = self.is_dry_run();
        self.ledger.advance(is_dry_run, now);
        let mut orders = Vec::new();
        let (state, ask_again) = match self.reason(now) {
            Err((hold, until)) => (self.held(hold, until), until),
            Ok(None) => {
                self.running = None;
                (ClosingState::Idle, self.next_change(now))
            }
            Ok(Some(_)) if !self.knowledge.has_turn() => (ClosingState::Waiting(Hold::OtherPool), None),
            Ok(Some(why)) if self.ledger.is_busy_with_another(why, now) => {
                (ClosingState::Waiting(Hold::OtherReason), Some(now + Duration::from_millis(1)))
            }
            Ok(Some(why)) => {
                if self.running != Some(why) {
                    self.running = Some(why);
                    self.ledger.begin_run();
                }
                let mut deciding = Deciding { now, orders: &mut orders };
                match why {
                    Why::Role => self.close_for_role(&mut deciding),
                    Why::Drain => self.close_for_drain(&mut deciding),
                    Why::Age => self.close_for_age(&mut deciding),
                    Why::Rebalance => self.close_for_rebalance(&mut deciding),
                }
            }
        };
        Verdict { orders, is_dry_run, state, ask_again }
    }

    /// Returns `true` if orders are only shown: that was asked for, or there is no closer that can close connections.
    pub fn is_dry_run(&self) -> bool {
        self.policy.dry_run || !self.knowledge.has_closer()
    }

    /// Returns the most urgent reason to close connections, or what keeps it from closing any, and until when.
    fn reason(&self, now: Instant) -> Result<Option<Why>, (Hold, Option<Instant>)> {
        if self.policy.is_off() {
            return Ok(None);
        }
        let wanted = [
            self.wants_role(now).then_some(Why::Role),
            self.wants_drain(now).then_some(Why::Drain),
            self.wants_age(now).then_some(Why::Age),
            self.wants_rebalance(now).then_some(Why::Rebalance),
        ];
        let Some(why) = wanted.into_iter().flatten().next() else { return Ok(None) };
        self.hold(why, now).map_or(Ok(Some(why)), Err)
    }

    fn held(&mut self, hold: Hold, until: Option<Instant>) -> ClosingState {
        self.running = None;
        match (hold, until) {
            (Hold::Paused(reason), Some(until)) => ClosingState::Paused(reason, until),
            (hold, _) => ClosingState::Waiting(hold),
        }
    }

    /// Returns the moment at which something begins to be wanted without news.
    fn next_change(&self, now: Instant) -> Option<Instant> {
        let changes = [self.next_role(now), self.next_drain(now), self.next_age(now), self.next_rebalance(now)];
        changes.into_iter().flatten().filter(|at| *at > now).min()
    }

    /// Orders a connection to be closed.
    fn order(&mut self, deciding: &mut Deciding<'_>, one: &Connection, why: Why, how: How, only_if: Conditions) {
        let is_dry_run = self.is_dry_run();
        deciding.orders.push(self.ledger.order(one, why, (how, only_if), is_dry_run, deciding.now));
    }

    /// Returns `true` if a backend has connections: as the last sample has counted them, until another one shows what has
    /// become of the orders. In a dry run, they are taken to be closed.
    fn has_connections(&self, backend: SocketAddr) -> bool {
        if self.is_dry_run() {
            self.knowledge.connections_left(backend, &self.ledger) > 0
        } else {
            self.knowledge.counted(backend) > 0
        }
    }

    /// Returns the connections to a backend that no order is about.
    fn connections_of(&self, backend: SocketAddr, now: Instant) -> impl Iterator<Item = &Connection> {
        self.knowledge.connections_of(backend, now).filter(|one| !self.ledger.has_ordered(one.cookie))
    }

    /// Returns the backends that are in doubt.
    fn suspects(&self) -> &BTreeSet<SocketAddr> {
        self.knowledge.suspects()
    }
}

#[cfg(test)]
mod tests;
