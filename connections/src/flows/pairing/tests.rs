//! Promises of pairing: what is claimed is true, also when the partner of a side is missing.

use proptest::prelude::*;
use rstest::rstest;

use super::*;

/// A side at rest for a minute.
fn side(cookie: u64, received: u64, delivered: u64) -> Side {
    let ago = Duration::from_secs(60);
    Side {
        cookie,
        received,
        delivered,
        unread: 0,
        unacknowledged: 0,
        received_ago: ago,
        sent_ago: ago,
        is_established: true,
    }
}

fn client(cookie: u64, sent: u64, got: u64) -> ClientSide {
    let side = side(cookie, sent, got);
    ClientSide { before: side, after: side }
}

fn backend(cookie: u64, got: u64, sent: u64) -> Side {
    side(cookie, sent, got)
}

fn busy(side: Side) -> Side {
    Side { received_ago: Duration::ZERO, sent_ago: Duration::ZERO, ..side }
}

fn found(clients: &[ClientSide], backends: &[Side]) -> Vec<(u64, u64)> {
    let mut pairs: Vec<_> = pair(clients, backends, &Pairs::new()).into_iter().collect();
    pairs.sort_unstable();
    pairs
}

#[test]
fn equal_counts_are_paired_where_they_are_unique() {
    let clients = [client(1, 10, 20), client(2, 10, 30), client(3, 10, 30), client(4, 0, 0)];
    let backends = [backend(11, 10, 20), backend(12, 10, 30), backend(13, 10, 30), backend(14, 0, 0)];
    assert_eq!(found(&clients, &backends), [(11, 1), (14, 4)]);
}

#[rstest]
#[case::unread(Side { unread: 1, ..backend(11, 10, 20) })]
#[case::unacknowledged(Side { unacknowledged: 1, ..backend(11, 10, 20) })]
#[case::a_moment_ago(Side { sent_ago: REST.saturating_sub(Duration::from_millis(1)), ..backend(11, 10, 20) })]
#[case::not_established(Side { is_established: false, ..backend(11, 10, 20) })]
fn equal_counts_are_no_proof_before_both_sides_are_at_rest(#[case] backend: Side) {
    // The second client is another possible one, as long as the counts may still change.
    assert_eq!(found(&[client(1, 10, 20), client(2, 11, 20)], &[backend]), []);
}

#[test]
fn data_is_not_sent_on_before_it_was_received() {
    let early = Side { sent_ago: Duration::from_secs(62), ..backend(11, 10, 20) };
    assert_eq!(equal(&[&client(1, 10, 20)], &[&early]), []);
    assert_eq!(equal(&[&client(1, 0, 20)], &[&Side { delivered: 0, ..early }]), [(11, 1)], "nothing was sent on");
}

#[test]
fn a_client_whose_counts_change_between_two_reads_is_not_at_rest() {
    let moved = ClientSide { before: side(1, 9, 20), after: side(1, 10, 20) };
    assert_eq!(equal(&[&moved], &[&backend(11, 10, 20)]), []);
}

#[test]
fn the_only_connections_of_a_pool_belong_together_however_busy_they_are() {
    let busy_client = ClientSide { before: busy(side(1, 1_000, 5)), after: busy(side(1, 9_000, 5)) };
    assert_eq!(found(&[busy_client], &[busy(backend(11, 4_000, 5))]), [(11, 1)]);
    let other = ClientSide { before: busy(side(2, 0, 5)), after: busy(side(2, 9_000_000, 5)) };
    assert_eq!(found(&[busy_client, other], &[busy(backend(11, 4_000, 5)), busy(backend(12, 4_000, 5))]), []);
}

#[test]
fn busy_connections_whose_counts_are_far_apart_are_told_apart() {
    let far = 100 * MAX_IN_PROXY;
    let clients =
        [1, 2].map(|n| ClientSide { before: busy(side(n, n * far, 0)), after: busy(side(n, n * far + 9, 0)) });
    let backends = [2, 1].map(|n| busy(backend(10 + n, n * far + 3, 0)));
    assert_eq!(found(&clients, &backends), [(11, 1), (12, 2)]);
}

#[test]
fn a_pair_that_was_certain_stays_until_it_is_impossible() {
    let known = Pairs::from([(11, 1), (12, 2)]);
    let clients = [client(1, 10, 20), client(2, 10, 20)];
    assert_eq!(pair(&clients, &[backend(11, 10, 20), backend(12, 10, 20)], &known), known);
    let pairs = pair(&clients, &[backend(11, 10, 20), backend(12, 11, 20)], &known);
    assert_eq!(pairs, Pairs::from([(11, 1)]), "the second backend got more than the client has sent");
}

proptest! {
    #[test]
    fn no_pair_is_wrong_while_at_most_one_side_is_missing(
        connections in proptest::collection::vec((0..4_u64, 0..4_u64), 1..12),
        missing in proptest::option::of((0..12_usize, any::<bool>())),
    ) {
        let (mut clients, mut backends) = (Vec::new(), Vec::new());
        for (index, (sent, got)) in connections.iter().enumerate() {
            let number = u64::try_from(index).unwrap();
            if missing != Some((index, true)) {
                clients.push(client(number, *sent, *got));
            }
            if missing != Some((index, false)) {
                backends.push(backend(100 + number, *sent, *got));
            }
        }
        for (backend, client) in pair(&clients, &backends, &Pairs::new()) {
            prop_assert_eq!(backend, client + 100);
        }
    }
}
