//! Promises of the tracker, on sockets made by hand.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::socket::Traffic;

const BACKEND: &str = "10.0.0.1:80";

fn connection(identity: u64, state: State) -> Socket {
    let local = ([10, 0, 9, 9], 40_000 + u16::try_from(identity % 20_000).unwrap()).into();
    Socket {
        identity,
        local,
        remote: BACKEND.parse().unwrap(),
        state,
        inode: 7,
        user: 1000,
        traffic: Traffic::default(),
    }
}

fn established(identities: impl IntoIterator<Item = u64>) -> Vec<Socket> {
    identities.into_iter().map(|i| connection(i, State::Established)).collect()
}

fn listener(port: u16, user: u32) -> Socket {
    let any = ([0, 0, 0, 0], port).into();
    let unspecified = ([0, 0, 0, 0], 0).into();
    Socket { local: any, remote: unspecified, user, ..connection(0, State::Listening) }
}

struct Bench {
    tracker: Tracker,
    own_ports: Arc<OwnPorts>,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        Self { tracker: Tracker::new(None), own_ports: Arc::default(), now: Instant::now() }
    }

    fn attempt(&mut self, sockets: &[Socket]) {
        self.tracker.begin_attempt();
        for socket in sockets {
            self.tracker.see(socket, &Criteria { own_ports: &self.own_ports, inodes: None }, self.now);
        }
    }

    /// Returns the load of the backend after a table of `sockets`.
    fn sample(&mut self, sockets: &[Socket]) -> Load {
        self.tracker.begin_sample(&[80]);
        self.attempt(sockets);
        self.load()
    }

    fn load(&mut self) -> Load {
        let loads: HashMap<_, _> = self.tracker.end_sample(self.now).0.into_iter().collect();
        loads.get(&BACKEND.parse().unwrap()).copied().unwrap_or_default()
    }
}

#[test]
fn as_many_opened_as_closed_are_both_counted() {
    let mut bench = Bench::new();
    let first = bench.sample(&established(1..=3));
    assert_eq!(
        (first.established, first.opened, first.closed),
        (3, 0, 0),
        "the first sample cannot tell which connections are new"
    );
    let next = bench.sample(&established(3..=5));
    assert_eq!((next.established, next.opened, next.closed), (3, 2, 2));
}

#[test]
fn opening_connections_count_as_load_and_their_age_is_known() {
    let mut bench = Bench::new();
    bench.sample(&[]);
    let opening = bench.sample(&[connection(1, State::Opening)]);
    assert_eq!((opening.connections(), opening.opened, opening.oldest_opening), (1, 1, Some(Duration::ZERO)));
    bench.now += Duration::from_secs(3);
    let sockets = [connection(1, State::Opening), connection(2, State::Opening)];
    assert_eq!(bench.sample(&sockets).oldest_opening, Some(Duration::from_secs(3)));
    let established = bench.sample(&established([1]));
    assert_eq!((established.established, established.opened, established.closed), (1, 0, 1));
    assert_eq!(established.oldest_opening, None);
}

#[test]
fn a_half_closed_connection_counts_as_long_as_a_process_holds_it() {
    let mut bench = Bench::new();
    bench.sample(&[]);
    let half_closed = [connection(1, State::EndedHere), connection(2, State::EndedByRemote)];
    let load = bench.sample(&half_closed);
    assert_eq!((load.half_closed, load.connections(), load.opened, load.closed), (2, 2, 2, 0));
    let orphans = half_closed.map(|socket| Socket { inode: 0, ..socket });
    let load = bench.sample(&orphans);
    assert_eq!((load.half_closed, load.connections(), load.opened, load.closed), (0, 0, 0, 2));
}

#[test]
fn an_ending_has_the_age_and_bytes_that_were_seen() {
    let mut bench = Bench::new();
    let received = |identity, received, state| {
        let traffic = Traffic { received, ..Traffic::default() };
        Socket { traffic, ..connection(identity, state) }
    };
    bench.sample(&[received(1, 0, State::Established), received(2, 0, State::Established)]);
    bench.now += Duration::from_secs(2);
    bench.sample(&[received(1, 10, State::Established), received(2, 20, State::EndedByRemote)]);
    bench.now += Duration::from_secs(1);
    bench.tracker.begin_sample(&[80]);
    bench.attempt(&[]);
    let (_, mut endings) = bench.tracker.end_sample(bench.now);
    endings.sort_by_key(|ending| ending.received);
    let ending = |received, by| Ending::new(BACKEND.parse().unwrap(), Duration::from_secs(3), received, by);
    assert_eq!(endings, [ending(10, EndedBy::Unknown), ending(20, EndedBy::Backend)]);
}

#[test]
fn a_table_read_again_after_an_interruption_counts_once_and_misses_no_opened_connection() {
    let mut bench = Bench::new();
    bench.sample(&established([1]));
    bench.tracker.begin_sample(&[80]);
    bench.attempt(&established([1, 2, 3]));
    bench.attempt(&established([2]));
    let load = bench.load();
    assert_eq!((load.established, load.opened, load.closed), (1, 1, 1));
}

#[test]
fn a_socket_that_is_listed_twice_counts_once() {
    let mut bench = Bench::new();
    bench.sample(&[]);
    let load = bench.sample(&established([1, 1, 2]));
    assert_eq!((load.established, load.opened), (2, 2));
}

#[test]
fn a_client_that_shares_address_and_port_with_a_backend_does_not_count() {
    let mut bench = Bench::new();
    let mut accepted = connection(1, State::Established);
    accepted.local.set_port(3333);
    let sockets = [listener(3333, 1000), accepted, connection(2, State::Established)];
    assert_eq!(bench.sample(&sockets).established, 1);
}

#[test]
fn own_probes_do_not_count() {
    let mut bench = Bench::new();
    bench.sample(&[]);
    let _port = bench.own_ports.reserve(40_001);
    assert_eq!(bench.sample(&established([1, 2])).opened, 1);
}

#[test]
fn connections_of_other_users_than_the_listener_do_not_count() {
    let mut bench = Bench::new();
    bench.tracker = Tracker::new(Some(8080));
    let sockets = [
        listener(8080, 65532),
        Socket { user: 65532, ..connection(1, State::Established) },
        connection(2, State::Established),
    ];
    assert_eq!(bench.sample(&sockets).established, 1);
}

#[test]
fn traffic_is_summed_and_round_trips_are_averaged() {
    let mut bench = Bench::new();
    let with = |identity, bytes, rtt| {
        let traffic = Traffic { bytes, received: 0, retransmits: 2, rtt: Some(Duration::from_micros(rtt)) };
        Socket { traffic, ..connection(identity, State::Established) }
    };
    let load = bench.sample(&[with(1, 10, 100), with(2, 30, 300)]);
    assert_eq!((load.bytes, load.retransmits, load.rtt), (40, 4, Some(Duration::from_micros(200))));
}

#[test]
fn addresses_without_connections_are_forgotten() {
    let mut bench = Bench::new();
    for i in 0..5_000u64 {
        let octets = u32::try_from(i).unwrap().to_be_bytes();
        let remote = ([10, octets[1], octets[2], octets[3]], 80).into();
        let local = ([10, 9, 9, 9], 40_000).into();
        bench.sample(&[
            Socket { identity: i, local, remote, ..connection(0, State::Established) },
            connection(9_999, State::Established),
        ]);
    }
    assert!(bench.tracker.remotes.len() < 2_000, "{}", bench.tracker.remotes.len());
    let load = bench.sample(&established([9_999]));
    assert_eq!((load.established, load.opened, load.closed), (1, 0, 0), "a live connection is kept");
}

proptest! {
    #[test]
    fn established_before_plus_opened_minus_closed_is_established_now(
        tables in proptest::collection::vec(proptest::collection::hash_set(0..40u64, 0..30), 2..10)
    ) {
        let mut bench = Bench::new();
        let mut before = bench.sample(&established(tables[0].iter().copied())).established;
        for table in &tables[1..] {
            let load = bench.sample(&established(table.iter().copied()));
            prop_assert_eq!(load.established as usize, table.len());
            prop_assert_eq!(before + load.opened - load.closed, load.established);
            before = load.established;
        }
    }
}
