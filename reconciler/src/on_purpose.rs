//! Connections that were closed on purpose, whose ends say nothing about their backends.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::observations::{EndedBy, Ending};

/// Connections of one backend that were closed on purpose a moment ago, and whose ends no sample has shown yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClosedOnPurpose(BTreeMap<SocketAddr, Vec<Instant>>);

/// Time within which an end is reported. Where ends are not reported at all, nothing is awaited for longer.
const REPORT_TIME_LIMIT: Duration = Duration::from_secs(5);

impl ClosedOnPurpose {
    /// Takes in that a connection of `backend` was closed on purpose.
    pub(crate) fn closed(&mut self, backend: SocketAddr, now: Instant) {
        self.0.entry(backend).or_default().push(now);
    }

    /// Returns the ends without those of connections that were closed on purpose. Which ones these are is not reported, but
    /// connections that are closed on purpose are older than others.
    pub(crate) fn leave_out(&mut self, mut endings: Vec<(SocketAddr, Ending)>) -> Vec<(SocketAddr, Ending)> {
        if self.0.is_empty() {
            return endings;
        }
        endings.sort_by_key(|(_, ending)| std::cmp::Reverse(ending.age));
        endings.retain(|(backend, ending)| {
            // The ends that the proxy causes by itself are told from ours.
            let may_be = matches!(ending.by, EndedBy::Backend | EndedBy::Unknown);
            let awaited = self.0.get_mut(backend).filter(|_| may_be);
            awaited.and_then(Vec::pop).is_none()
        });
        endings
    }

    /// Forgets those whose ends will not be reported any more.
    pub(crate) fn forget_before(&mut self, now: Instant) {
        self.0.retain(|_, closed| {
            closed.retain(|at| now.saturating_duration_since(*at) < REPORT_TIME_LIMIT);
            !closed.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending(seconds: u64, by: EndedBy) -> Ending {
        Ending { age: Duration::from_secs(seconds), received: 1, by }
    }

    #[test]
    fn as_many_of_the_oldest_ends_as_were_closed_on_purpose_say_nothing() {
        let (one, other) = ("10.0.0.1:1".parse().unwrap(), "10.0.0.2:1".parse().unwrap());
        let (mut closed, now) = (ClosedOnPurpose::default(), Instant::now());
        closed.closed(one, now);
        closed.closed(one, now);
        let endings = vec![
            (one, ending(1, EndedBy::Backend)),
            (one, ending(900, EndedBy::Proxy)),
            (one, ending(300, EndedBy::Unknown)),
            (other, ending(500, EndedBy::Backend)),
        ];
        let left = closed.leave_out(endings);
        assert_eq!(left, [(one, ending(900, EndedBy::Proxy)), (other, ending(500, EndedBy::Backend))]);
        let more = vec![(one, ending(1, EndedBy::Backend))];
        assert_eq!(closed.leave_out(more.clone()), more, "each closing explains one end");
    }

    #[test]
    fn an_end_that_is_not_reported_is_not_awaited_for_long() {
        let (one, now) = ("10.0.0.1:1".parse().unwrap(), Instant::now());
        let mut closed = ClosedOnPurpose::default();
        closed.closed(one, now);
        closed.forget_before(now + REPORT_TIME_LIMIT);
        let endings = vec![(one, ending(1, EndedBy::Backend))];
        assert_eq!(closed.leave_out(endings.clone()), endings);
    }
}
