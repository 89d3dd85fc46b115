//! Least connections beside siblings whose reports come at once.

use super::*;
use crate::siblings::{Heard, ReplicaId, Report, SILENT_AFTER};

fn report(sample: u64, counts: &[u32]) -> Report {
    let connections = (0..).zip(counts).map(|(index, connections)| (address(index), *connections));
    Report::new(ReplicaId::new(1), sample, Duration::ZERO, 0, connections)
}

/// A replica with `counts` connections, which are pushed.
fn replica(counts: &[(u32, u32)]) -> Bench {
    let mut bench = Bench::new(&ready(0..u8::try_from(counts.len()).unwrap()));
    bench.balancer = bench.balancer.with_replica(ReplicaId::new(0));
    bench.sample(counts).push();
    bench
}

#[test]
fn a_gap_is_filled_by_each_replica_in_part() {
    let mut bench = replica(&[(30, 0), (30, 0), (30, 0)]);
    bench.balancer.sibling_reported(report(1, &[30, 30, 10]), bench.now);
    assert_eq!(bench.after(60 * MS).sample(&[(30, 0), (30, 0), (30, 0)]).push(), Some(Reason::Balance));
    // Half of the 20 that are missing, of which a tenth is left to the sibling.
    assert_eq!(bench.gaps(), [Some(0), Some(0), Some(9)]);
    assert_eq!(bench.balancer.total_connections(address(2), bench.now), 40);
    // They have opened, and until there is news of the sibling its part of the gap is left to it.
    bench.after(60 * MS).sample(&[(30, 0), (30, 0), (39, 9)]).push();
    assert_eq!(bench.gaps()[2], Some(0));
}

#[test]
fn news_of_a_sibling_end_the_pause_of_a_replica_where_nothing_happens() {
    let mut bench = replica(&[(9, 0), (9, 0)]);
    for _ in 0..90 {
        bench.after(100 * MS).sample(&[(9, 0), (9, 0)]);
    }
    let pause = |bench: &mut Bench| bench.balancer.decide(bench.now).sample_at - bench.now;
    assert_eq!(pause(&mut bench), Pacing::default().max_sample_period);
    assert_eq!(bench.balancer.sibling_reported(report(1, &[9, 5]), bench.now), Heard::News);
    assert_eq!(pause(&mut bench), MIN_PERIOD);
    assert_eq!(bench.after(MIN_PERIOD).sample(&[(9, 0), (9, 0)]).push(), Some(Reason::Balance));
    for sample in [1, 2] {
        bench.after(2_000 * MS).sample(&[(9, 0), (9, 0)]);
        let before = pause(&mut bench);
        assert_ne!(bench.balancer.sibling_reported(report(sample, &[9, 5]), bench.now), Heard::News);
        assert_eq!(pause(&mut bench), before, "what is known already is no reason to count");
    }
}

#[test]
fn a_sibling_that_is_silent_or_has_left_no_longer_counts() {
    for leaves in [false, true] {
        let mut bench = replica(&[(12, 0), (9, 0), (4, 0)]);
        bench.balancer.sibling_reported(report(1, &[0, 40, 80]), bench.now);
        bench.after(60 * MS).sample(&[(12, 0), (9, 0), (4, 0)]).push();
        assert_ne!(bench.gaps(), [Some(0), Some(3), Some(8)]);
        if leaves {
            bench.balancer.sibling_left(ReplicaId::new(1));
        } else {
            bench.after(SILENT_AFTER);
        }
        assert_eq!(bench.after(60 * MS).sample(&[(12, 0), (9, 0), (4, 0)]).push(), Some(Reason::Balance));
        assert_eq!(bench.gaps(), [Some(0), Some(3), Some(8)]);
    }
}

#[test]
fn a_backend_that_only_one_replica_leaves_out_is_filled_by_the_others() {
    let mut bench = replica(&[(20, 0), (20, 0), (20, 0)]);
    // The sibling has lost those of the last backend, which this one still reaches.
    bench.balancer.sibling_reported(report(1, &[20, 20, 0]), bench.now);
    bench.after(60 * MS).sample(&[(20, 0), (20, 0), (20, 0)]).push();
    assert_eq!(bench.gaps(), [Some(0), Some(0), Some(9)]);
    assert!(bench.balancer.decide(bench.now).probes.is_empty(), "it is no reason to doubt the backend");
}

#[test]
fn a_replica_that_cannot_count_reports_nothing_and_needs_no_siblings() {
    let mut bench = replica(&[(3, 0), (0, 0)]);
    let report_of_own = bench.balancer.report(bench.now).unwrap();
    assert_eq!(*report_of_own.connections, [(address(0), 3)].into());
    bench.balancer.counting_failed(bench.now);
    assert_eq!(bench.balancer.report(bench.now), None);
    bench.balancer.sibling_reported(report(1, &[50, 0]), bench.now);
    assert_eq!(bench.push(), Some(Reason::Blind));
    assert_eq!(bench.in_force.as_ref().unwrap().plan, Plan::round_robin(&ready(0..2)));
}

#[test]
fn a_balancer_without_an_identity_neither_reports_nor_listens() {
    let mut bench = Bench::new(&ready(0..2));
    bench.sample(&[(3, 0), (0, 0)]).push();
    assert_eq!(bench.balancer.report(bench.now), None);
    assert!(matches!(bench.balancer.sibling_reported(report(1, &[0, 9]), bench.now), Heard::Ignored(_)));
    assert!(bench.balancer.sharing(bench.now).is_none());
    assert_eq!(bench.after(60 * MS).sample(&[(3, 0), (0, 0)]).push(), None);
}
