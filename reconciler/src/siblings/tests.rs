//! Which reports change something, and what is kept of them.

use super::*;

const OWN: ReplicaId = ReplicaId::new(0);
const SECOND: Duration = Duration::from_secs(1);

fn backend(index: u8) -> SocketAddr {
    ([10, 0, 0, index], 1).into()
}

fn report(replica: u128, sample: u64, connections: u32) -> Report {
    Report::new(ReplicaId::new(replica), sample, Duration::ZERO, 0, [(backend(1), connections)])
}

fn heard(siblings: &Siblings, now: Instant) -> usize {
    siblings.sharing(now).siblings.iter().filter(|sibling| sibling.share.is_some()).count()
}

#[test]
fn only_the_first_report_of_a_sample_is_news_and_only_if_its_connections_differ() {
    let (mut siblings, now) = (Siblings::new(OWN), Instant::now());
    assert_eq!(siblings.heard(report(1, 5, 7), now), Heard::News);
    assert_eq!(siblings.heard(report(1, 5, 8), now), Heard::Repeated);
    assert!(siblings.knows_later(&report(1, 4, 8)) && !siblings.knows_later(&report(2, 4, 8)));
    assert_eq!(siblings.heard(report(1, 4, 8), now), Heard::Ignored(Ignored::Overtaken));
    assert_eq!(siblings.connections_to(backend(1), now), 7);
    assert_eq!(siblings.heard(report(1, 6, 7), now), Heard::Unchanged);
    assert_eq!(siblings.heard(report(1, 7, 8), now), Heard::News);
    assert_eq!(siblings.connections_to(backend(1), now), 8);
    assert_eq!(siblings.heard(report(0, 9, 8), now), Heard::Ignored(Ignored::Own));
    assert!(siblings.left(ReplicaId::new(1)) && !siblings.left(ReplicaId::new(1)));
    assert_eq!(siblings.connections_to(backend(1), now), 0);
}

#[test]
fn a_sibling_that_does_not_count_again_is_silent_after_5_s() {
    let (mut siblings, start) = (Siblings::new(OWN), Instant::now() + 10 * SECOND);
    assert_eq!(siblings.heard(report(1, 1, 7).delayed(6 * SECOND), start), Heard::Ignored(Ignored::Old));
    assert_eq!(siblings.heard(report(1, 1, 7).delayed(Duration::MAX), start), Heard::Ignored(Ignored::Old));
    assert_eq!(siblings.heard(report(1, 1, 7).delayed(2 * SECOND), start), Heard::News);
    for step in 0..30 {
        let now = start + step * SECOND / 10;
        assert_eq!(siblings.heard(report(1, 1, 7), now), Heard::Repeated);
        assert_eq!(heard(&siblings, now), 1, "after {step} tenths of a second");
    }
    assert_eq!(heard(&siblings, start + 3 * SECOND + SECOND / 10), 0);
    assert_eq!(siblings.connections_to(backend(1), start + 4 * SECOND), 0);
    assert_eq!(siblings.sharing(start + 4 * SECOND).siblings.len(), 1, "but it is still known");
    assert_eq!(siblings.heard(report(1, 2, 7), start + 60 * SECOND), Heard::Unchanged);
    assert_eq!(heard(&siblings, start + 60 * SECOND), 1);
}

#[test]
fn siblings_and_reports_are_bounded_and_silent_ones_make_room() {
    let (mut siblings, now) = (Siblings::new(OWN), Instant::now());
    for replica in 1..=MAX_SIBLINGS as u128 {
        assert_eq!(siblings.heard(report(replica, 1, 1), now), Heard::News);
    }
    let another = report(1_000, 1, 1);
    assert_eq!(siblings.heard(another.clone(), now), Heard::Ignored(Ignored::TooManySiblings));
    assert_eq!(siblings.heard(report(7, 2, 1), now + 9 * SECOND), Heard::Unchanged);
    assert_eq!(siblings.heard(another, now + 9 * SECOND), Heard::News);
    assert_eq!((siblings.others.len(), heard(&siblings, now + 9 * SECOND)), (MAX_SIBLINGS, 2));
    let backend = |index: usize| SocketAddr::from(([10, 0, 0, 1], u16::try_from(index).unwrap()));
    let connections = Arc::new((0..=MAX_BACKENDS).map(|i| (backend(i), 1)).collect());
    let large = report(7, 3, 1).with_connections(connections);
    assert_eq!(siblings.heard(large, now + 9 * SECOND), Heard::Ignored(Ignored::TooManyBackends));
}

#[test]
fn connections_that_reports_share_are_unchanged_and_others_are_compared() {
    let (mut siblings, now) = (Siblings::new(OWN), Instant::now());
    let first = report(1, 1, 5);
    let shared = Arc::clone(&first.connections);
    assert_eq!(siblings.heard(first, now), Heard::News);
    assert_eq!(siblings.heard(report(1, 2, 9).with_connections(shared), now + SECOND), Heard::Unchanged);
    assert_eq!(siblings.others[&ReplicaId::new(1)].connections.sum(), 5);
    assert_eq!(siblings.heard(report(1, 3, 5), now + 2 * SECOND), Heard::Unchanged);
    assert_eq!(siblings.heard(report(1, 4, 6), now + 3 * SECOND), Heard::News);
    assert_eq!(siblings.others[&ReplicaId::new(1)].connections.sum(), 6);
}

#[test]
fn shares_follow_the_connections_that_open() {
    let (mut siblings, start) = (Siblings::new(OWN), Instant::now());
    for step in 0..60u32 {
        let now = start + step * SECOND;
        siblings.sampled([(backend(1), 5)].into_iter(), 10, now);
        siblings.heard(Report { opened: 30 * u64::from(step), ..report(1, step.into(), 5) }, now);
    }
    let sharing = siblings.sharing(start + 60 * SECOND);
    assert!((sharing.share - 0.25).abs() < 0.01, "{sharing:?}");
    assert!((sharing.siblings[0].share.unwrap() - 0.75).abs() < 0.01, "{sharing:?}");
    assert_eq!(sharing.siblings[0].connections, 5);
}

#[test]
fn a_report_says_what_was_sampled() {
    let (mut siblings, start) = (Siblings::new(OWN), Instant::now());
    assert_eq!(siblings.report(start), None);
    siblings.sampled([(backend(1), 5), (backend(2), 0)].into_iter(), 9, start);
    siblings.sampled([(backend(1), 7), (backend(2), 0)].into_iter(), 3, start + SECOND);
    let expected = Report::new(OWN, 2, SECOND, 3, [(backend(1), 7)]);
    assert_eq!(siblings.report(start + 2 * SECOND), Some(expected));
}

#[test]
fn a_connection_that_opens_here_counts_in_full_until_the_sibling_has_counted_after_it() {
    let (mut siblings, start) = (Siblings::new(OWN), Instant::now());
    let row = |first: u32| (0..20u8).map(move |index| (backend(index), if index == 0 { first } else { 10 }));
    let theirs = |sample: u64| Report::new(ReplicaId::new(1), sample, Duration::ZERO, 0, row(10));
    let excess = |siblings: &Siblings| {
        let heights = siblings.heights(row(14).map(|(backend, connections)| (backend, connections, 1)), start + SECOND);
        let whole = heights.unwrap().whole();
        whole[0].connections - whole[1].connections
    };
    siblings.sampled(row(10), 0, start);
    siblings.heard(theirs(1), start);
    siblings.sampled(row(14), 4, start + SECOND);
    assert_eq!(excess(&siblings), 4, "the sibling does not know of the four");
    siblings.heard(theirs(2).delayed(SECOND / 2), start + SECOND);
    assert_eq!(excess(&siblings), 4, "its counts are new here, and yet older than the four");
    siblings.heard(theirs(3), start + SECOND);
    assert_eq!(excess(&siblings), 3, "it knows of them, and of 24 in all this replica has its half");
}

#[test]
fn counts_that_are_heard_before_the_first_own_sample_are_compared_with_that() {
    let (mut siblings, start) = (Siblings::new(OWN), Instant::now());
    let row = |first: u32| (0..2u8).map(move |index| (backend(index), if index == 0 { first } else { 10 }));
    siblings.heard(Report::new(ReplicaId::new(1), 1, Duration::ZERO, 0, row(10)), start);
    siblings.sampled(row(30), 0, start + SECOND / 2);
    let heights = siblings.heights(row(30).map(|(backend, connections)| (backend, connections, 1)), start + SECOND / 2);
    let whole = heights.unwrap().whole();
    // 40 and 20 in all, of which half are the business of this replica, and a tenth of its own row stays.
    assert_eq!(whole[0].connections - whole[1].connections, 11);
}

#[test]
fn news_are_of_after_a_moment_once_all_that_are_heard_have_counted_since() {
    let (mut siblings, start) = (Siblings::new(OWN), Instant::now() + 10 * SECOND);
    assert!(!siblings.have_counted_since(start, start), "there is nobody");
    for replica in [1, 2] {
        siblings.heard(report(replica, 1, 7), start);
    }
    let pushed = start + SECOND;
    siblings.heard(report(1, 2, 7), pushed + SECOND);
    assert!(!siblings.have_counted_since(pushed, pushed + SECOND));
    // It took its counts before, and its answer came late.
    siblings.heard(report(2, 2, 7).delayed(2 * SECOND), pushed + SECOND);
    assert!(!siblings.have_counted_since(pushed, pushed + SECOND));
    siblings.heard(report(2, 3, 7), pushed + 2 * SECOND);
    assert!(siblings.have_counted_since(pushed, pushed + 2 * SECOND));
}
