//! Promises of pairing ends: what is claimed is true, and exact.

use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;
use crate::socket::{Delivered, Pair};

const GROUP: usize = 0;

fn pair_of(cookie: u64) -> Pair {
    let port = u16::try_from(cookie).unwrap();
    Pair { local: SocketAddr::from(([10, 0, 0, 1], port)), remote: SocketAddr::from(([10, 0, 0, 2], port)) }
}

/// A side that ended in order after this time, sent these bytes of data, and received these and an end.
fn ended(cookie: u64, part: Part, begin: Instant, millis: u64, sent: u64, received: u64) -> Ended {
    let syn = u64::from(part == Part::Dialled);
    Ended {
        identity: cookie,
        pair: pair_of(cookie),
        at: begin + Duration::from_millis(millis),
        min_age: Duration::ZERO,
        received: received + 1,
        delivered: Delivered { acknowledged: sent + syn + 1, sent: Some(sent) },
        sent_ago: Duration::ZERO,
        received_ago: Duration::ZERO,
    }
}

fn client(cookie: u64, begin: Instant, millis: u64, (sent, got): (u64, u64)) -> Ended {
    ended(cookie, Part::Accepted, begin, millis, got, sent)
}

fn backend(cookie: u64, begin: Instant, millis: u64, (sent, got): (u64, u64)) -> Ended {
    ended(cookie, Part::Dialled, begin, millis, sent, got)
}

/// Returns the clients of the connections that are due after a minute, by the backends' cookies.
fn clients(ends: &mut Ends, begin: Instant) -> Vec<(u64, Option<u64>)> {
    let flows = ends.due(begin + Duration::from_secs(60));
    flows.iter().map(|flow| (flow.backend.identity, flow.client.map(|client| client.identity))).collect()
}

#[test]
fn the_sides_of_a_connection_are_paired_whichever_ends_first() {
    let (begin, mut ends) = (Instant::now(), Ends::default());
    ends.client(client(1, begin, 0, (10, 20)), GROUP);
    ends.backend(backend(11, begin, 3, (10, 20)), GROUP);
    ends.backend(backend(12, begin, 4, (10, 21)), GROUP);
    ends.client(client(2, begin, 400, (10, 21)), GROUP);
    assert!(ends.due(begin + Duration::from_secs(1)).is_empty(), "others may still end");
    assert_eq!(ends.due_at(), Some(begin + Duration::from_millis(3) + Ends::DELAY));
    assert_eq!(clients(&mut ends, begin), [(11, Some(1)), (12, Some(2))]);
    assert_eq!(ends.due_at(), None);
}

#[test]
fn an_end_that_was_a_reset_is_no_byte_of_data() {
    let (begin, mut ends) = (Instant::now(), Ends::default());
    let reset = Ended {
        received: 10,
        delivered: Delivered { acknowledged: 20, sent: Some(20) },
        ..client(1, begin, 0, (10, 20))
    };
    ends.client(reset, GROUP);
    ends.backend(backend(11, begin, 3, (10, 20)), GROUP);
    assert_eq!(clients(&mut ends, begin), [(11, Some(1))]);
}

#[test]
fn two_connections_with_the_same_counts_are_not_told_apart_unless_they_end_at_different_times() {
    let (begin, mut ends) = (Instant::now(), Ends::default());
    for (number, millis) in [(1, 0), (2, 900), (3, 5_000)] {
        ends.client(client(number, begin, millis, (10, 20)), GROUP);
        ends.backend(backend(10 + number, begin, millis + 5, (10, 20)), GROUP);
    }
    assert_eq!(clients(&mut ends, begin), [(11, None), (12, None), (13, Some(3))]);
}

#[test]
fn clients_of_other_pools_are_no_candidates() {
    let (begin, mut ends) = (Instant::now(), Ends::default());
    ends.client(client(1, begin, 0, (10, 20)), GROUP + 1);
    ends.backend(backend(11, begin, 5, (10, 20)), GROUP);
    assert_eq!(clients(&mut ends, begin), [(11, None)]);
}

#[test]
fn a_side_that_lost_data_is_not_paired() {
    let (begin, mut ends) = (Instant::now(), Ends::default());
    let lost = Delivered { acknowledged: 15, sent: Some(20) };
    ends.client(Ended { delivered: lost, ..client(1, begin, 0, (10, 20)) }, GROUP);
    ends.backend(backend(11, begin, 5, (10, 20)), GROUP);
    ends.client(client(2, begin, 0, (15, 20)), GROUP);
    let lost = Delivered { acknowledged: 11, sent: Some(15) };
    ends.backend(Ended { delivered: lost, ..backend(12, begin, 5, (15, 20)) }, GROUP);
    assert_eq!(clients(&mut ends, begin), [(11, None), (12, None)]);
}

#[test]
fn after_announcements_were_lost_no_client_is_certain() {
    let (begin, mut ends) = (Instant::now(), Ends::default());
    ends.client(client(1, begin, 0, (10, 20)), GROUP);
    ends.backend(backend(11, begin, 3, (10, 20)), GROUP);
    ends.lost_some();
    assert_eq!(clients(&mut ends, begin), [(11, None)]);
}

#[test]
fn what_is_kept_is_bounded_and_forgotten_in_time() {
    let (begin, mut ends) = (Instant::now(), Ends::default());
    let mut flows = 0;
    for number in 0..60_000 {
        ends.client(client(number, begin, 0, (number, 20)), GROUP);
        ends.backend(backend(number, begin, 0, (number, 20)), GROUP);
        flows += ends.due(begin).len();
    }
    assert!(ends.backends.by_cookie.len() <= 2 * MAX_SIDES && ends.clients.by_cookie.len() <= 2 * MAX_SIDES);
    flows += ends.due(begin + Duration::from_secs(60)).len();
    assert_eq!(flows, 60_000, "each is returned once");
    assert_eq!((ends.backends.by_counts.len(), ends.clients.by_counts.len()), (0, 0));
}

proptest! {
    #[test]
    fn no_pair_is_wrong_while_at_most_one_side_is_missing(
        connections in proptest::collection::vec((0..3_u64, 0..3_u64, 0..3_000_u64, 0..900_u64), 1..12),
        missing in proptest::option::of((0..12_usize, any::<bool>())),
    ) {
        let (begin, mut ends) = (Instant::now(), Ends::default());
        let mut sides = Vec::new();
        for (index, (sent, got, millis, later)) in connections.iter().enumerate() {
            let number = u64::try_from(index).unwrap();
            if missing != Some((index, true)) {
                sides.push((true, client(number, begin, *millis + *later, (*sent, *got))));
            }
            if missing != Some((index, false)) {
                sides.push((false, backend(100 + number, begin, *millis, (*sent, *got))));
            }
        }
        sides.sort_by_key(|(_, side)| side.at);
        let mut flows = Vec::new();
        for (is_client, side) in sides {
            flows.extend(ends.due(side.at));
            if is_client { ends.client(side, GROUP) } else { ends.backend(side, GROUP) }
        }
        flows.extend(ends.due(begin + Duration::from_secs(60)));
        for EndedFlow { backend, client } in flows {
            prop_assert!(client.is_none_or(|client| client.identity + 100 == backend.identity), "{:?} {:?}", backend, client);
        }
    }
}
