//! Who is heard, lost or has left, by what the addresses answer; and how often each is asked.

use ilb_reconciler::siblings::Report;
use proptest::{collection::vec, prelude::*};

use super::{
    pace::{MIN_GAP, MIN_PERIOD},
    *,
};

const OWN: ReplicaId = ReplicaId::new(0);
const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// The members, and the moment.
struct Bench {
    members: Members,
    now: Instant,
}

fn at(last: u8) -> SocketAddr {
    ([10, 0, 0, last], 8081).into()
}

fn id(number: u128) -> ReplicaId {
    ReplicaId::new(number)
}

fn refused() -> Problem {
    Problem::Unreachable("connection refused".into())
}

impl Bench {
    /// Lists these addresses.
    fn new(addresses: &[u8]) -> Self {
        let mut bench = Self { members: Members::new(OWN), now: Instant::now() };
        assert_eq!(bench.list(addresses), []);
        bench
    }

    fn list(&mut self, addresses: &[u8]) -> Vec<SiblingEvent> {
        self.members.list(addresses.iter().map(|last| at(*last)).collect(), self.now).0
    }

    /// Lets an address answer with this identity and sample, as it is due.
    fn answers(&mut self, last: u8, replica: u128, sample: u64) -> Vec<SiblingEvent> {
        let report = Report::new(id(replica), sample, Duration::ZERO, 0, []);
        let pools = BTreeMap::from([("default".to_owned(), report)]);
        let answer = Answer { replica: id(replica), sample, held: Duration::ZERO, pools };
        self.asked(last, Ok((Arc::new(answer), 100 * MS / 1000)))
    }

    fn fails(&mut self, last: u8, problem: Problem) -> Vec<SiblingEvent> {
        self.asked(last, Err(problem))
    }

    fn asked(&mut self, last: u8, result: Result<(Arc<Answer>, Duration), Problem>) -> Vec<SiblingEvent> {
        let due = self.members.known.get_mut(&at(last)).unwrap().due.take().expect("no question is out");
        self.now = self.now.max(due);
        let (started, ended) = (self.now, self.now + 2 * MS);
        self.now = ended;
        self.members.asked(Asked { address: at(last), started, ended, result }, 1.0)
    }

    /// Lets all questions to an address fail until it is lost, and returns the last events.
    fn is_lost(&mut self, last: u8, problem: &Problem) -> Vec<SiblingEvent> {
        loop {
            let events = self.fails(last, problem.clone());
            if events.len() > 1 {
                return events;
            }
        }
    }

    fn pause(&self, last: u8) -> Duration {
        self.members.known[&at(last)].due.unwrap().saturating_duration_since(self.now)
    }
}

fn answer_of(replica: u128) -> Arc<Answer> {
    Arc::new(Answer { replica: id(replica), sample: 1, held: Duration::ZERO, pools: BTreeMap::new() })
}

/// Returns the events without the reports and the failures.
fn changes(events: Vec<SiblingEvent>) -> Vec<SiblingEvent> {
    let is_change = |event: &SiblingEvent| {
        matches!(event, SiblingEvent::Heard { .. } | SiblingEvent::Lost { .. } | SiblingEvent::Left { .. })
    };
    events.into_iter().filter(is_change).collect()
}

fn heard(last: u8, replica: u128) -> SiblingEvent {
    SiblingEvent::Heard { address: at(last), replica: id(replica) }
}

fn left(last: u8, replica: Option<u128>) -> SiblingEvent {
    SiblingEvent::Left { address: at(last), replica: replica.map(id) }
}

#[test]
fn the_first_answer_makes_a_sibling_heard_and_only_a_new_sample_is_reported() {
    let mut bench = Bench::new(&[1]);
    let events = bench.answers(1, 7, 5);
    assert_eq!(events[0], heard(1, 7));
    let SiblingEvent::Reported { pools, at, .. } = &events[1] else { panic!("{events:?}") };
    assert_eq!((pools["default"].age, *at), (MS, bench.now), "half of the round trip is added");
    assert_eq!(events[2..], [SiblingEvent::AllAsked]);
    assert_eq!(bench.answers(1, 7, 5), []);
    assert!(matches!(bench.answers(1, 7, 6)[..], [SiblingEvent::Reported { .. }]));
}

#[test]
fn the_time_for_which_an_answer_was_held_back_is_no_part_of_its_age() {
    for (held, delay) in [(0, 500), (600, 200), (1_000, 0), (u64::MAX, 0)] {
        let mut bench = Bench::new(&[1]);
        let reported = Report::new(id(7), 1, 30 * MS, 0, []);
        let pools = BTreeMap::from([("default".to_owned(), reported)]);
        let answer = Arc::new(Answer { replica: id(7), sample: 1, held: Duration::from_millis(held), pools });
        let [started, ended] = [bench.now, bench.now + SECOND];
        bench.members.take_due(started);
        let asked = Asked { address: at(1), started, ended, result: Ok((answer, MS)) };
        let events = bench.members.asked(asked, 1.0);
        let SiblingEvent::Reported { pools, .. } = &events[1] else { panic!("{events:?}") };
        assert_eq!(pools["default"].age, 30 * MS + Duration::from_millis(delay), "held for {held} ms");
    }
}

#[test]
fn an_answer_that_was_held_back_is_followed_by_the_next_question_at_once() {
    let mut bench = Bench::new(&[1]);
    bench.answers(1, 7, 1);
    let started = bench.members.take_due(bench.now + SECOND).first().map(|_| bench.now + SECOND).unwrap();
    let ended = started + SECOND;
    bench.members.asked(Asked { address: at(1), started, ended, result: Ok((answer_of(7), MS)) }, 1.0);
    assert_eq!(bench.members.next_due(), Some(ended));
}

#[test]
fn the_own_address_is_no_sibling() {
    let mut bench = Bench::new(&[1]);
    assert_eq!(bench.answers(1, 0, 5), [SiblingEvent::AllAsked]);
    assert!(bench.pause(1) > 9 * SECOND);
    assert_eq!(bench.list(&[]), []);
}

#[test]
fn an_identity_at_two_addresses_counts_once_and_survives_the_loss_of_one() {
    let mut bench = Bench::new(&[1, 2]);
    assert_eq!(changes(bench.answers(1, 7, 5)), [heard(1, 7)]);
    assert_eq!(bench.answers(2, 7, 5), [SiblingEvent::AllAsked]);
    assert!(bench.pause(2) > 9 * SECOND);
    assert_eq!(bench.list(&[2]), [left(1, None)], "the identity has not left");
    assert_eq!(bench.pause(2), Duration::ZERO);
    assert_eq!(changes(bench.answers(2, 7, 6)), [heard(2, 7)]);
    assert_eq!(bench.list(&[]), [left(2, Some(7))]);
}

#[test]
fn another_identity_at_an_address_is_a_restart() {
    let mut bench = Bench::new(&[1]);
    bench.answers(1, 7, 5);
    let events = bench.answers(1, 8, 5);
    assert_eq!(events[..2], [left(1, Some(7)), heard(1, 8)]);
    assert!(matches!(&events[2], SiblingEvent::Reported { replica, .. } if *replica == id(8)), "{events:?}");
}

#[test]
fn a_sibling_that_does_not_answer_is_lost_after_5_s_and_told_once() {
    let mut bench = Bench::new(&[1]);
    bench.answers(1, 7, 5);
    let answered = bench.now;
    let events = bench.is_lost(1, &refused());
    let lost = |problem| SiblingEvent::Lost { address: at(1), replica: Some(id(7)), problem };
    assert_eq!(events, [SiblingEvent::Failed { address: at(1), problem: refused() }, lost(refused())]);
    assert!((SILENT_AFTER..SILENT_AFTER + MAX_PERIOD + 10 * MS).contains(&(bench.now - answered)));
    for _ in 0..20 {
        assert_eq!(changes(bench.fails(1, Problem::Status(404))), []);
    }
    // The same sample is news then: the balancers may have forgotten it.
    let events = bench.answers(1, 7, 5);
    assert_eq!(events.len(), 2, "{events:?}");
    assert_eq!(events[0], heard(1, 7));
    bench.is_lost(1, &refused());
    let events = bench.answers(1, 9, 1);
    assert_eq!(changes(events), [left(1, Some(7)), heard(1, 9)]);
}

#[test]
fn an_address_that_never_answers_is_lost_too_and_has_been_asked() {
    let mut bench = Bench::new(&[1, 2]);
    assert_eq!(bench.fails(1, refused()), [SiblingEvent::Failed { address: at(1), problem: refused() }]);
    assert_eq!(changes(bench.answers(2, 7, 1)), [heard(2, 7)]);
    let events = bench.is_lost(1, &Problem::TooLong);
    assert_eq!(changes(events), [SiblingEvent::Lost { address: at(1), replica: None, problem: Problem::TooLong }]);
    assert_eq!(bench.list(&[2]), [left(1, None)]);
}

#[test]
fn all_are_asked_once_each_has_answered_or_failed_and_at_once_if_there_are_none() {
    let mut bench = Bench::new(&[1, 2]);
    assert!(!bench.answers(1, 7, 1).contains(&SiblingEvent::AllAsked));
    assert!(bench.fails(2, refused()).contains(&SiblingEvent::AllAsked));
    assert!(!bench.fails(2, refused()).contains(&SiblingEvent::AllAsked));
    let mut none = Members::new(OWN);
    assert_eq!(none.list(BTreeSet::new(), bench.now).0, [SiblingEvent::AllAsked]);
}

#[test]
fn answers_are_asked_for_every_250_ms_on_average_and_less_often_if_they_cost_more() {
    let mut bench = Bench::new(&[1, 2]);
    let answer = || answer_of(7);
    for _ in 0..10 {
        bench.answers(1, 7, 1);
    }
    assert_eq!(bench.pause(1) + 2 * MS, MIN_PERIOD);
    bench.asked(1, Ok((answer(), MS / 2)));
    for _ in 0..100 {
        bench.asked(1, Ok((answer(), MS / 2)));
    }
    // Both together cost 1 ms a round.
    assert!(bench.pause(1).abs_diff(798 * MS) < MS, "{:?}", bench.pause(1));
    for _ in 0..100 {
        bench.asked(1, Ok((answer(), 100 * MS)));
    }
    assert_eq!(bench.pause(1) + 2 * MS, MAX_PERIOD);
}

#[test]
fn a_few_changes_that_follow_each_other_are_asked_for_at_once() {
    let mut bench = Bench::new(&[1]);
    let pauses = |bench: &mut Bench, count| {
        let next = |_| {
            bench.answers(1, 7, 1);
            bench.pause(1) + 2 * MS
        };
        (0..count).map(next).collect::<Vec<_>>()
    };
    let first = pauses(&mut bench, 40);
    assert_eq!(first[..3], [MIN_GAP; 3]);
    // However they come, there are no more than one in 250 ms, and the burst.
    let sum: Duration = first.iter().sum();
    assert!(sum >= MIN_PERIOD * 36 && first[39] == MIN_PERIOD, "{first:?}");
    // An answer that has waited for a change is followed by the next question.
    bench.now += 5 * SECOND;
    assert_eq!(pauses(&mut bench, 1), [MIN_GAP]);
}

#[test]
fn an_answer_that_costs_much_does_not_delay_the_others() {
    let mut bench = Bench::new(&[1, 2]);
    for _ in 0..100 {
        bench.asked(1, Ok((answer_of(7), 100 * MS)));
        bench.asked(2, Ok((answer_of(8), MS / 10)));
    }
    assert_eq!(bench.pause(2) + 2 * MS, MIN_GAP, "it is asked seldom, because the clock goes by the other one");
    bench.asked(1, Ok((answer_of(7), 100 * MS)));
    assert_eq!(bench.pause(1) + 2 * MS, MAX_PERIOD);
}

#[test]
fn what_answers_nonsense_is_asked_less_often_and_what_is_away_every_second() {
    let mut bench = Bench::new(&[1]);
    let mut pauses = |problem: &Problem| {
        (0..8)
            .map(|_| {
                bench.fails(1, problem.clone());
                bench.pause(1)
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(pauses(&refused()), [SECOND; 8]);
    assert_eq!(pauses(&Problem::TooLong)[7], MAX_PAUSE);
}

#[test]
fn addresses_are_bounded() {
    let mut members = Members::new(OWN);
    let many = (0..600_u16).map(|port| SocketAddr::from(([10, 0, 0, 1], port))).collect();
    let (_, too_many) = members.list(many, Instant::now());
    assert_eq!((members.known.len(), too_many), (MAX_ADDRESSES, 600 - MAX_ADDRESSES));
}

proptest! {
    /// Whatever happens, observers can follow: each address is heard, lost or neither, each identity is heard at one
    /// address at most, and one that has left is not reported before it is heard again.
    #[test]
    fn events_are_consistent(steps in vec((0..3_u8, 0..4_u128, 0..4_u8), 1..200)) {
        let mut bench = Bench { members: Members::new(OWN), now: Instant::now() };
        let mut heard: BTreeMap<SocketAddr, ReplicaId> = BTreeMap::new();
        bench.list(&[0, 1, 2]);
        for (sample, (address, replica, what)) in (1..).zip(steps) {
            let events = match what {
                0 => bench.list(&[0, 1, 2].iter().copied().filter(|a| *a != address).collect::<Vec<_>>()),
                1 if bench.members.is_listed(at(address)) => bench.is_lost_or_not(address),
                _ if bench.members.is_listed(at(address)) => bench.answers(address, replica, sample),
                _ => bench.list(&[0, 1, 2]),
            };
            for event in events {
                match event {
                    SiblingEvent::Heard { address, replica } => {
                        prop_assert_ne!(replica, OWN);
                        prop_assert!(!heard.values().any(|known| *known == replica), "it is heard twice");
                        prop_assert_eq!(heard.insert(address, replica), None);
                    }
                    SiblingEvent::Lost { address, .. } | SiblingEvent::Left { address, .. } => {
                        heard.remove(&address);
                    }
                    SiblingEvent::Reported { replica, .. } => {
                        prop_assert!(heard.values().any(|known| *known == replica), "it is not heard");
                    }
                    _ => {}
                }
            }
        }
    }
}

impl Bench {
    /// Lets questions fail for as long as it takes to be lost.
    fn is_lost_or_not(&mut self, last: u8) -> Vec<SiblingEvent> {
        (0..10).flat_map(|_| self.fails(last, refused())).collect()
    }
}
