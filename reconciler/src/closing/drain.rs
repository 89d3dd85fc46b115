//! Ends what is left on backends that leave, spread over the time that there is.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::closing::{
    AnswerRule, Closing, ClosingState, Conditions, Deciding, Drain, Hold, How, Why, choice::permille, knowledge::Known,
    role::MAX_ABORTS_PER_SECOND,
};

/// Time before a backend is killed at which its last connection is closed.
const BEFORE_KILL: Duration = Duration::from_secs(10);

/// The time over which the connections of a backend are closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    begin: Instant,
    end: Instant,
}

impl Span {
    /// Returns the time that the policy and the moment of the kill leave; `None` if it is beyond all bounds.
    fn new(policy: &Drain, known: &Known) -> Option<Self> {
        let begin = known.since.checked_add(policy.after)?;
        let end = begin.checked_add(policy.within)?;
        let Some(killed_at) = known.killed_at else { return Some(Self { begin, end }) };
        let end = end.min(killed_at.checked_sub(BEFORE_KILL).unwrap_or(known.since)).max(known.since);
        let begin = begin.min(end.checked_sub(policy.within).unwrap_or(known.since)).max(known.since);
        Some(Self { begin, end })
    }

    fn middle(self) -> Instant {
        self.begin + self.end.saturating_duration_since(self.begin) / 2
    }
}

impl Closing {
    pub(crate) fn wants_drain(&self, now: Instant) -> bool {
        self.drain_spans().any(|(_, span)| span.begin <= now)
    }

    pub(crate) fn next_drain(&self, _: Instant) -> Option<Instant> {
        self.drain_spans().map(|(_, span)| span.begin).min()
    }

    /// Closes connections of the backend whose time ends first.
    pub(crate) fn close_for_drain(&mut self, deciding: &mut Deciding<'_>) -> (ClosingState, Option<Instant>) {
        let (Some(policy), now) = (self.policy.drain, deciding.now) else { return (ClosingState::Idle, None) };
        let mut spans: Vec<_> = self.drain_spans().filter(|(_, span)| span.begin <= now).collect();
        spans.sort_by_key(|(backend, span)| (span.end, *backend));
        let ended: Vec<SocketAddr> =
            spans.iter().filter(|(_, span)| span.end <= now).map(|(backend, _)| *backend).collect();
        if !ended.is_empty() {
            return self.abort_all(deciding, &ended, Why::Drain);
        }
        let Some((backend, span)) = spans.first().copied() else { return (ClosingState::Idle, None) };
        let left = || spans.iter().map(|(backend, _)| *backend);
        loop {
            let (of_this, all) = (
                self.knowledge.connections_left(backend, &self.ledger),
                left().map(|backend| self.knowledge.connections_left(backend, &self.ledger)).sum::<u64>(),
            );
            let state = ClosingState::Closing { why: Why::Drain, left: all };
            if of_this == 0 {
                return (state, None);
            }
            if !self.ledger.pace.is_due(MAX_ABORTS_PER_SECOND, now) {
                return (state, Some(self.ledger.pace.next(MAX_ABORTS_PER_SECOND, now).min(span.end)));
            }
            let answers: &[AnswerRule] = if now < span.middle() {
                &[AnswerRule::Answered]
            } else {
                &[AnswerRule::Answered, AnswerRule::MaybeAnswered]
            };
            let found = answers.iter().find_map(|answer| {
                let only_if = Conditions { answer: *answer, quiet: policy.quiet, empty_queues: true };
                let candidates = self.connections_of(backend, now).filter(|one| one.meets(&only_if));
                candidates.min_by_key(|one| self.ledger.lot(one.cookie)).map(|one| (*one, only_if))
            });
            let Some((one, only_if)) = found else {
                self.ledger.search.found_none(now);
                return (ClosingState::Waiting(Hold::NoCandidate), Some(span.end));
            };
            self.order(deciding, &one, Why::Drain, How::Finish, only_if);
            // From half to the whole of what is even.
            let interval =
                span.end.saturating_duration_since(now).div_f64(f64::from(u32::try_from(all).unwrap_or(u32::MAX)));
            let jitter = 1_000 + permille(self.ledger.turn(), one.cookie);
            self.ledger.pace.took(interval * jitter / 2_000, now);
        }
    }

    /// Returns the draining backends that have connections, with their times.
    fn drain_spans(&self) -> impl Iterator<Item = (SocketAddr, Span)> + '_ {
        let policy = self.policy.drain;
        let spans =
            self.knowledge.draining().filter_map(move |(backend, known)| Some((backend, Span::new(&policy?, &known)?)));
        spans.filter(|(backend, _)| self.has_connections(*backend))
    }
}
