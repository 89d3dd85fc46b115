//! The exchange of reports between replicas: each asks each other in turns and is answered at the next sample, and messages are
//! late or lost.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::siblings::Report;

/// Asks and answers that are under way.
#[derive(Debug)]
pub(in super::super) struct Exchange {
    /// Least number of seconds between two questions to the same sibling; infinite for no exchange.
    pub(in super::super) every: f64,
    /// Seconds that a message takes one way.
    pub(in super::super) delay: f64,
    /// Part of the exchanges, in percent, of which nothing arrives.
    pub(in super::super) lost_percent: usize,
    /// Pairs of replicas of which the first does not hear the second.
    pub(in super::super) cut: BTreeSet<(usize, usize)>,
    /// Replicas that answer no longer.
    gone: BTreeSet<usize>,
    replicas: usize,
    messages: BinaryHeap<Reverse<ByEnd<Message>>>,
    /// Number of the sample that the first has of the second.
    known: BTreeMap<(usize, usize), u64>,
    /// Questions that wait for the next sample, with the moments at which they came.
    waiting: Vec<(f64, Message)>,
}

#[derive(Clone, Debug, PartialEq)]
struct Message {
    asking: usize,
    asked: usize,
    /// What is answered; `None` for the question.
    answer: Option<Report>,
}

impl Default for Exchange {
    fn default() -> Self {
        Self {
            every: f64::INFINITY,
            delay: 0.0005,
            lost_percent: 0,
            cut: BTreeSet::new(),
            gone: BTreeSet::new(),
            replicas: 0,
            messages: BinaryHeap::new(),
            known: BTreeMap::new(),
            waiting: Vec::new(),
        }
    }
}

impl Exchange {
    /// Returns the time of the next message.
    pub(super) fn next(&self) -> f64 {
        self.messages.peek().map_or(f64::INFINITY, |message| message.0.0)
    }

    /// Takes in another replica, which asks at once and is asked from now on.
    pub(super) fn joined(&mut self, now: f64) {
        for other in 0..self.replicas {
            self.send(now, Message { asking: self.replicas, asked: other, answer: None });
            self.send(now, Message { asking: other, asked: self.replicas, answer: None });
        }
        self.replicas += 1;
    }

    /// Takes in that a replica has ended.
    pub(super) fn lose(&mut self, replica: usize) {
        self.gone.insert(replica);
    }

    /// Delivers the next message, and returns the report and the replica that hears it, if it is an answer.
    pub(super) fn next_delivery(
        &mut self,
        now: f64,
        random: &mut Random,
        replicas: &[Replica],
        instant: Instant,
    ) -> Option<(usize, Report)> {
        let Reverse(ByEnd(_, message)) = self.messages.pop()?;
        if let Some(report) = message.answer {
            return Some((message.asking, report));
        }
        if self.every.is_finite() {
            let asked = message.asked;
            self.waiting.push((now, message));
            self.answer(asked, now, random, replicas, instant);
        }
        None
    }

    /// Answers the questions to one replica, if there is something to say.
    pub(super) fn answer(
        &mut self,
        asked: usize,
        now: f64,
        random: &mut Random,
        replicas: &[Replica],
        instant: Instant,
    ) {
        if !self.waiting.iter().any(|(_, message)| message.asked == asked) {
            return;
        }
        let Some(report) = replicas[asked].balancer.report(instant) else { return };
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.retain(|(asked_at, message)| {
            let asking = message.asking;
            if message.asked != asked || self.known.get(&(asking, asked)) == Some(&report.sample) {
                return true;
            }
            let again = (asked_at + self.every * (0.9 + 0.2 * random.uniform())).max(now + 2.0 * self.delay);
            self.send(again, message.clone());
            let is_lost = random.below(100) < self.lost_percent
                || self.cut.contains(&(asking, asked))
                || self.gone.contains(&asked)
                || self.gone.contains(&asking);
            if !is_lost {
                self.known.insert((asking, asked), report.sample);
                // Half of the round trip counts as the way of the answer.
                let report = report.clone().delayed(Duration::from_secs_f64(self.delay));
                self.send(now + self.delay, Message { asking, asked, answer: Some(report) });
            }
            false
        });
        self.waiting = waiting;
    }

    fn send(&mut self, at: f64, message: Message) {
        self.messages.push(Reverse(ByEnd(at, message)));
    }
}
