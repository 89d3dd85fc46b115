//! The same things in the words of the crate that decides and of the one that closes.

use ilb_connections as connections;
use ilb_reconciler::closing;

/// Returns an order as closers take it.
pub(super) fn order(order: &closing::Order) -> connections::Order {
    let closing::Conditions { answer, quiet, empty_queues } = order.only_if;
    connections::Order {
        backend: order.backend,
        local: order.local,
        cookie: order.cookie,
        how: match order.how {
            closing::How::Finish => connections::How::Finish,
            closing::How::Abort => connections::How::Abort,
        },
        only_if: connections::Conditions {
            answer: match answer {
                closing::AnswerRule::Answered => connections::AnswerRule::Answered,
                closing::AnswerRule::MaybeAnswered => connections::AnswerRule::MaybeAnswered,
                closing::AnswerRule::Any => connections::AnswerRule::Any,
            },
            quiet,
            empty_queues,
        },
    }
}

/// Returns the order to end a half as closers take it.
pub(super) fn order_for_half(half: &closing::Half) -> connections::Order {
    let closing::Conditions { quiet, empty_queues, .. } = closing::Halves::CONDITIONS;
    connections::Order {
        backend: half.client,
        local: half.local,
        cookie: half.cookie,
        how: connections::How::Half,
        only_if: connections::Conditions { answer: connections::AnswerRule::Any, quiet, empty_queues },
    }
}

/// Returns a half as the decision takes it.
pub(super) fn half(half: &connections::Half) -> closing::Half {
    let connections::Half { cookie, local, client, since, silent, .. } = *half;
    closing::Half { cookie, local, client, since, silent }
}

/// Returns an outcome as the decision takes it.
pub(super) fn done(outcome: &connections::Outcome) -> closing::Done {
    match outcome {
        connections::Outcome::Closed => closing::Done::Closed,
        connections::Outcome::Gone => closing::Done::Gone,
        connections::Outcome::NotNow(_) => closing::Done::NotNow,
        connections::Outcome::Refused(_) => closing::Done::Refused,
        connections::Outcome::Failed(_) => closing::Done::Failed,
    }
}

/// Returns a connection as the decision takes it.
pub(super) fn connection(one: &connections::Connection) -> closing::Connection {
    closing::Connection {
        cookie: one.cookie,
        local: one.local,
        backend: one.backend,
        first_seen: one.first_seen,
        is_established: one.is_established,
        answered: match one.answered {
            connections::Answered::Yes => closing::Answered::Yes,
            connections::Answered::No => closing::Answered::No,
            connections::Answered::Unknown => closing::Answered::Unknown,
        },
        quiet: one.quiet,
        has_empty_queues: one.has_empty_queues,
    }
}
