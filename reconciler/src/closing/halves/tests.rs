//! Promises of ending halves.

#![allow(clippy::unchecked_time_subtraction, reason = "the clock of a test is far from its ends")]

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);
const MAX_RATE: u32 = 20;
const NOTHING: [u64; 0] = [];

/// The proxy's connections with its clients that it has ended, and what tells them apart.
struct World {
    halves: Halves,
    now: Instant,
    /// Moment at which each became a half, and at which its client sent something last.
    present: BTreeMap<u64, (Instant, Instant)>,
    last_cookie: u64,
    /// Time that a list takes.
    cost: Duration,
}

impl World {
    fn new() -> Self {
        Self::with_cost(Duration::ZERO)
    }

    fn with_cost(cost: Duration) -> Self {
        Self { halves: Halves::default(), now: Instant::now(), present: BTreeMap::new(), last_cookie: 0, cost }
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
    }

    /// Lets a half appear.
    fn appear(&mut self) -> u64 {
        self.last_cookie += 1;
        self.present.insert(self.last_cookie, (self.now, self.now));
        self.last_cookie
    }

    /// Lists halves.
    fn list(&mut self) {
        let half = |(cookie, (since, sent)): (&u64, &(Instant, Instant))| Half {
            cookie: *cookie,
            local: ([10, 0, 0, 1], 3333).into(),
            client: ([192, 0, 2, 1], 50_000).into(),
            since: (sent <= since).then_some(*since),
            silent: self.now.duration_since(*since.max(sent)),
        };
        let list: Vec<Half> = self.present.iter().map(half).collect();
        self.halves.listed(Some(&list), self.now, self.cost);
    }

    /// Closes a connection, as the controller does.
    fn close(&mut self) {
        if self.halves.must_list(self.now) {
            self.list();
        }
        self.halves.ordered(self.now);
        self.halves.closed(self.now);
    }

    /// Closes a connection whose client ignores that.
    fn leave_behind(&mut self) -> u64 {
        self.close();
        self.wait(MS);
        self.appear()
    }

    /// Lets time pass, in which whatever is due happens. Returns the halves that were ended.
    fn run(&mut self, time: Duration) -> Vec<u64> {
        let (end, mut ended) = (self.now + time, Vec::new());
        loop {
            if let Some(half) = self.halves.next(MAX_RATE, self.now) {
                // As the closer does by its second look.
                let done = match self.present.get(&half.cookie) {
                    None => Done::Gone,
                    Some((since, sent)) if self.now - *since.max(sent) < Halves::CONDITIONS.quiet => Done::NotNow,
                    Some(_) => Done::Closed,
                };
                self.halves.done(done, self.now);
                if done == Done::Closed {
                    self.present.remove(&half.cookie);
                    ended.push(half.cookie);
                }
            }
            if self.halves.list_at().is_some_and(|at| at <= self.now) {
                self.list();
            }
            let next = self.halves.list_at().into_iter().chain(self.halves.next_at(MAX_RATE, self.now)).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
        }
        self.now = end;
        ended
    }
}

#[test]
fn what_a_closing_leaves_behind_is_ended_after_the_grace() {
    let mut world = World::new();
    let left = world.leave_behind();
    assert_eq!(world.run(Halves::GRACE - MS), NOTHING, "its client still has time");
    assert_eq!(world.run(Duration::from_secs(2)), [left]);
    assert_eq!(world.halves.list_at(), None, "nothing is left to look for");
}

#[test]
fn lists_take_at_most_a_thousandth_of_the_time_and_come_every_10_seconds_at_least() {
    for (cost_millis, period) in [(0, 1), (1, 1), (4, 4), (100, 10)] {
        let mut world = World::with_cost(cost_millis * MS);
        let left = world.leave_behind();
        let period = Duration::from_secs(period);
        assert_eq!(world.halves.list_at(), Some(world.now - MS + period));
        assert!(!world.halves.must_list(world.now + period - 2 * MS) && world.halves.must_list(world.now + period));
        assert_eq!(world.run(Halves::GRACE + 2 * period), [left], "{cost_millis} ms for a list");
    }
}

#[test]
fn a_half_of_before_a_closing_is_never_ended() {
    let mut world = World::new();
    let before = world.appear();
    world.wait(Duration::from_secs(60));
    let left = world.leave_behind();
    // Its client still sends something, so that the kernel does not tell since when it is a half.
    world.present.get_mut(&before).unwrap().1 = world.now;
    assert_eq!(world.run(Duration::from_secs(60)), [left]);
    assert_eq!(world.present.keys().copied().collect::<Vec<_>>(), [before]);
}

#[test]
fn a_half_that_was_there_before_a_closing_and_is_first_listed_after_it_is_never_ended() {
    let mut world = World::new();
    world.list();
    world.wait(Duration::from_millis(100));
    world.appear();
    world.wait(Duration::from_millis(100));
    world.close();
    assert_eq!(world.run(Duration::from_secs(60)), NOTHING, "the kernel shows that it is older than the closing");
}

#[test]
fn a_half_long_after_the_last_closing_is_never_ended() {
    let mut world = World::new();
    world.close();
    world.wait(Halves::REACH + MS);
    world.appear();
    assert_eq!(world.run(Duration::from_secs(60)), NOTHING);
}

#[test]
fn no_more_are_ended_than_connections_were_closed() {
    let mut world = World::new();
    world.close();
    world.wait(MS);
    let first = world.appear();
    world.wait(MS);
    world.appear();
    assert_eq!(world.run(Duration::from_secs(60)), [first]);
}

#[test]
fn a_half_whose_client_sends_is_left_alone() {
    let mut world = World::new();
    let left = world.leave_behind();
    for _ in 0..30 {
        assert_eq!(world.run(Duration::from_secs(1)), NOTHING);
        world.present.get_mut(&left).unwrap().1 = world.now;
    }
    assert_eq!(world.run(Halves::GRACE + Duration::from_secs(2)), [left]);
}

#[test]
fn without_a_list_just_before_a_closing_what_it_leaves_behind_stays() {
    let mut world = World::new();
    world.halves.listed(None, world.now, world.cost);
    assert!(!world.halves.must_list(world.now), "a list that fails holds no closing up");
    world.leave_behind();
    assert_eq!(world.run(Duration::from_secs(60)), NOTHING);
    world.list();
    world.wait(Duration::from_secs(5));
    world.halves.closed(world.now);
    world.appear();
    assert_eq!(world.run(Duration::from_secs(60)), NOTHING, "the list is too old");
}

#[test]
fn a_failure_of_the_closer_is_not_repeated_for_a_while() {
    let mut world = World::new();
    let left = world.leave_behind();
    while world.halves.next(MAX_RATE, world.now).is_none() {
        world.wait(Duration::from_millis(100));
        if world.halves.list_at().is_some_and(|at| at <= world.now) {
            world.list();
        }
    }
    world.halves.done(Done::Failed, world.now);
    assert_eq!(world.run(PAUSE - MS), NOTHING);
    assert_eq!(world.run(Duration::from_secs(2)), [left]);
}

#[test]
fn many_are_ended_at_a_fifth_of_the_rate_and_none_while_closings_take_half_of_it() {
    let mut world = World::new();
    let left: Vec<u64> = (0..40).map(|_| world.leave_behind()).collect();
    assert_eq!(world.run(Halves::GRACE).len(), 0);
    for _ in 0..3 {
        let before = world.now;
        let ended = world.run(Duration::from_secs(1)).len();
        assert!(ended <= 2 * 4, "{ended} in {:?}", world.now - before);
    }
    for _ in 0..10 {
        world.halves.ordered(world.now);
    }
    assert_eq!(world.halves.next(MAX_RATE, world.now), None, "the closings come first");
    world.run(Duration::from_secs(20));
    assert!(world.present.is_empty(), "{:?} of {left:?} are left", world.present);
}

/// Something that may happen.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A connection is closed, and its client ends it at once, or not.
    Close(bool),
    /// A backend ends a connection, and its client does not.
    Appear,
    /// A client sends something, or ends its half: the one with this number, counted round.
    Send(u8),
    Leave(u8),
    ListFails,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any::<bool>().prop_map(Step::Close),
        2 => Just(Step::Appear),
        2 => any::<u8>().prop_map(Step::Send),
        1 => any::<u8>().prop_map(Step::Leave),
        1 => Just(Step::ListFails),
        4 => prop_oneof![1..50u64, 50..1_500u64, 1_500..20_000u64].prop_map(Step::Wait),
    ]
}

proptest! {
    #[test]
    fn only_halves_that_came_after_a_closing_are_ended_and_one_for_each_at_most(
        steps in prop::collection::vec(step(), 0..80),
        cost_micros in prop_oneof![Just(0), 0..12_000u64],
    ) {
        let mut world = World::with_cost(Duration::from_micros(cost_micros));
        let (mut closings, mut came, mut sent) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        let (mut ended, mut last_seconds) = (BTreeSet::new(), VecDeque::new());
        for step in steps {
            match step {
                Step::Close(is_left_behind) => {
                    world.close();
                    closings.push(world.now);
                    world.wait(MS);
                    if is_left_behind {
                        came.insert(world.appear(), world.now);
                    }
                }
                Step::Appear => {
                    came.insert(world.appear(), world.now);
                }
                Step::Send(number) | Step::Leave(number) => {
                    let index = usize::from(number) % world.present.len().max(1);
                    if let Some(cookie) = world.present.keys().nth(index).copied() {
                        if matches!(step, Step::Leave(_)) {
                            world.present.remove(&cookie);
                        } else {
                            world.present.get_mut(&cookie).unwrap().1 = world.now;
                            sent.insert(cookie, world.now);
                        }
                    }
                }
                Step::ListFails => world.halves.listed(None, world.now, world.cost),
                Step::Wait(millis) => {
                    let end = world.now + MS * u32::try_from(millis).unwrap();
                    while world.now < end {
                        let slice = (end - world.now).min(100 * MS);
                        for cookie in world.run(slice) {
                            prop_assert!(ended.insert(cookie), "twice");
                            let came = came[&cookie];
                            prop_assert!(world.now >= came + Halves::GRACE, "too early");
                            let is_quiet = sent.get(&cookie).is_none_or(|sent| world.now >= *sent + Halves::GRACE);
                            prop_assert!(is_quiet, "its client has sent something");
                            let reach = Halves::REACH + MIN_PERIOD;
                            prop_assert!(closings.iter().any(|at| *at <= came && came <= *at + reach), "no closing");
                            last_seconds.push_back(world.now);
                        }
                        while last_seconds.front().is_some_and(|at| world.now - *at >= SECOND - 100 * MS) {
                            last_seconds.pop_front();
                        }
                        prop_assert!(last_seconds.len() <= 4, "too fast");
                    }
                }
            }
            prop_assert!(ended.len() <= closings.len());
        }
    }
}
