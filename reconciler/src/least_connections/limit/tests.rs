//! Backends get no more connections than they may have, through all replicas, and get new ones again once they have room.

use std::time::{Duration, Instant};

use ilb_discovery::{BackendSet, State};
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    Pacing, Reason,
    least_connections::Count,
    siblings::{ReplicaId, Report},
};

const MS: Duration = Duration::from_millis(1);

fn backend(number: usize) -> Backend {
    Backend::new(([10, 0, 0, u8::try_from(number).unwrap()], 5432).into(), State::Ready)
}

/// A balancer, and the moment.
struct Bench {
    balancer: LeastConnections,
    now: Instant,
    backends: Vec<Backend>,
}

impl Bench {
    fn new(limit: Limit, backends: Vec<Backend>) -> Self {
        let now = Instant::now();
        let mut balancer = LeastConnections::new(Pacing::default()).with_limit(limit);
        balancer.set_backends(&backends.iter().cloned().collect::<BackendSet>(), now);
        Self { balancer, now, backends }
    }

    fn with_limit(max_connections: u32, backends: usize) -> Self {
        let limit = Limit { max_connections: Some(max_connections), ..Limit::default() };
        Self::new(limit, (0..backends).map(backend).collect())
    }

    /// Counts these connections after a while, and pushes what is decided. Returns the reason of a new decision, and which
    /// backends get new connections.
    fn counts(&mut self, connections: &[u32]) -> (Option<Reason>, Vec<usize>) {
        self.now += 500 * MS;
        let count = |(backend, connections): (&Backend, &u32)| {
            (backend.address(), Count { connections: *connections, ..Count::default() })
        };
        let counts: Vec<_> = self.backends.iter().zip(connections).map(count).collect();
        self.balancer.sampled(counts, MS / 2, self.now);
        let before = self.balancer.desired.clone();
        let decision = self.balancer.decide(self.now).decision.unwrap();
        let is_new = before.is_none_or(|before| !std::sync::Arc::ptr_eq(&before, &decision));
        if is_new {
            self.balancer.acknowledged(&decision, 4 * MS, self.now);
        }
        let gets = |index: &usize| {
            decision.plan.entries().iter().any(|entry| entry.address == self.backends[*index].address())
        };
        (is_new.then_some(decision.reason), (0..self.backends.len()).filter(gets).collect())
    }
}

#[test]
fn a_pool_that_is_full_gets_no_new_connections_until_one_ends() {
    let mut bench = Bench::with_limit(10, 3);
    assert_eq!(bench.counts(&[9, 9, 9]).1, [0, 1, 2]);
    assert_eq!(bench.counts(&[10, 10, 10]), (Some(Reason::Limit), vec![]));
    let state = bench.balancer.limit().unwrap();
    assert_eq!((state.max_connections, state.connections, state.is_full), (30, 30, true));
    assert_eq!(bench.counts(&[10, 10, 10]).0, None);
    let (reason, gets) = bench.counts(&[10, 9, 10]);
    assert_eq!((reason, gets.contains(&1)), (Some(Reason::Limit), true));
}

#[test]
fn a_backend_at_its_limit_is_left_out_as_long_as_half_of_them_are_below() {
    let mut bench = Bench::with_limit(10, 4);
    assert_eq!(bench.counts(&[9, 5, 5, 5]).1, [0, 1, 2, 3]);
    assert_eq!(bench.counts(&[10, 5, 5, 5]), (Some(Reason::Limit), vec![1, 2, 3]));
    assert_eq!(bench.counts(&[10, 12, 5, 5]).1, [2, 3]);
    // A burst would be led to the last one.
    assert_eq!(bench.counts(&[10, 12, 10, 5]).1.len(), 4);
}

#[test]
fn a_pool_that_is_full_spreads_new_connections_over_all_if_that_is_wanted() {
    let limit = Limit { max_connections: Some(10), overflow: Overflow::Spread };
    let mut bench = Bench::new(limit, (0..3).map(backend).collect());
    for connections in [[10, 10, 10], [12, 11, 14]] {
        assert_eq!(bench.counts(&connections).1, [0, 1, 2]);
        assert!(bench.balancer.limit().unwrap().is_full);
    }
}

#[test]
fn a_backend_may_have_a_limit_of_its_own_and_without_one_the_pool_is_never_full() {
    let own = |number, limit| backend(number).with_max_connections(limit);
    let mut bench = Bench::new(Limit::default(), vec![own(0, Some(5)), own(1, None)]);
    assert_eq!(bench.counts(&[5, 900]).1, [1]);
    assert_eq!(bench.balancer.limit(), None);
    let limit = Limit { max_connections: Some(100), ..Limit::default() };
    let mut bench = Bench::new(limit, vec![own(0, Some(5)), own(1, None)]);
    assert_eq!(bench.counts(&[5, 99]).1, [1]);
    assert_eq!(bench.counts(&[5, 100]).1, Vec::<usize>::new());
}

#[test]
fn without_a_limit_nothing_changes() {
    let mut bench = Bench::new(Limit::default(), (0..2).map(backend).collect());
    assert_eq!(bench.counts(&[100_000, 100_000]).1, [0, 1]);
    assert_eq!(bench.balancer.limit(), None);
}

#[test]
fn a_sibling_that_is_silent_still_has_its_connections() {
    let mut bench = Bench::with_limit(10, 2);
    bench.balancer.set_replica(ReplicaId::new(0));
    bench.counts(&[2, 2]);
    let theirs = bench.backends.iter().map(|backend| (backend.address(), 8));
    let report = Report::new(ReplicaId::new(1), 1, Duration::ZERO, 0, theirs);
    bench.balancer.sibling_reported(report, bench.now);
    assert_eq!(bench.counts(&[2, 2]).1, Vec::<usize>::new());
    bench.now += Duration::from_secs(60);
    assert_eq!(bench.counts(&[2, 2]).1, Vec::<usize>::new());
    bench.balancer.sibling_left(ReplicaId::new(1));
    assert_eq!(bench.counts(&[2, 2]).1, [0, 1]);
}

proptest! {
    /// Until there is news, all replicas together take no more than there is room for, and one more each.
    #[test]
    fn replicas_fill_the_free_places_once(rows in vec(0..40_u32, 1..8), free in 0..100_u32) {
        let max = rows.iter().sum::<u32>() + free;
        let replicas: Vec<_> = rows.iter().enumerate().map(|(replica, own)| {
            let mut bench = Bench::with_limit(max, 1);
            bench.balancer.set_replica(ReplicaId::new(replica as u128));
            bench.counts(&[*own]);
            for (other, connections) in rows.iter().enumerate().filter(|(other, _)| *other != replica) {
                let theirs = [(bench.backends[0].address(), *connections)];
                let report = Report::new(ReplicaId::new(other as u128), 1, Duration::ZERO, 0, theirs);
                bench.balancer.sibling_reported(report, bench.now);
            }
            bench
        }).collect();
        let mut taken = 0;
        for (mut bench, own) in replicas.into_iter().zip(&rows) {
            let mut connections = *own;
            while !bench.counts(&[connections]).1.is_empty() {
                connections += 1;
                taken += 1;
            }
        }
        let one_each = u32::try_from(rows.len()).unwrap();
        prop_assert!((free..=free + one_each).contains(&taken), "{taken} of {free}");
    }
}
