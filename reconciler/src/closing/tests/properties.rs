//! What holds for any sample at any time.

use proptest::prelude::*;

use super::*;

const BACKENDS: usize = 5;

/// Something that may happen.
#[derive(Clone, Debug)]
enum Event {
    /// Other states and capacities of the backends.
    Backends(Vec<(u8, u8)>, bool),
    /// A sample, whose connections have these numbers: backend, age in minutes, answered, quiet, queues.
    Sample(Vec<(usize, u64, u8, u64, bool)>, u32, u32),
    /// Another view: each bit is a doubt.
    View(u8),
    Done(u8),
    Wait(u64),
}

fn event() -> impl Strategy<Value = Event> {
    // Most are on the first backends, so that there is something to move. Of one backend, none may be answered.
    let backend = prop_oneof![2 => Just(0), 1 => Just(1), 3 => 0..BACKENDS];
    let connection = (backend, 0..20u64, 0..4u8, 0..3_000u64, prop::bool::weighted(0.8));
    prop_oneof![
        1 => (prop::collection::vec((0..6u8, 1..4u8), BACKENDS), any::<bool>()).prop_map(|(b, l)| Event::Backends(b, l)),
        6 => (prop::collection::vec(connection, 0..120), 0..30u32, 0..30u32, 0..2 * BACKENDS).prop_map(
            |(mut connections, opened, ended, silent)| {
                connections.iter_mut().filter(|one| one.0 == silent).for_each(|one| one.2 = 3);
                Event::Sample(connections, opened, ended)
            }
        ),
        3 => prop_oneof![3 => Just(0u8), 1 => any::<u8>()].prop_map(Event::View),
        6 => (0..12u8).prop_map(Event::Done),
        8 => prop_oneof![8 => 1..400u64, 3 => 400..3_000u64, 1 => 3_000..90_000u64].prop_map(Event::Wait),
    ]
}

fn policy(only_rebalance: bool) -> ClosingPolicy {
    let all = ClosingPolicy {
        rebalance: Some(Rebalance { rate_permille: 500, ..Rebalance::default() }),
        drain: Some(Drain { after: 10 * SECOND, within: 30 * SECOND, quiet: SECOND }),
        role: Some(Role::default()),
        age: Some(Age { grace: Some(MINUTE), ..Age::new(15 * MINUTE) }),
        settle: Settle(2 * SECOND),
        budget: HourlyBudget(1_000),
        ..ClosingPolicy::default()
    };
    if only_rebalance { ClosingPolicy { drain: None, role: None, age: None, ..all } } else { all }
}

/// What a test knows on its own of a pool.
struct Known {
    now: Instant,
    set_changed: Instant,
    states: BTreeMap<SocketAddr, (State, u64)>,
    counts: BTreeMap<SocketAddr, Counted>,
    connections: BTreeMap<u64, Connection>,
    view: View,
    viewed: Option<Instant>,
    sampled: Option<Instant>,
    /// Orders without a result, and those that were closed since the last sample.
    open: BTreeMap<u64, (Order, Option<Instant>)>,
    ordered_at: Vec<Instant>,
    ordered: BTreeMap<u64, Instant>,
    paused_until: Option<Instant>,
    failures: u32,
}

impl Known {
    /// Takes in that the closer failed: no order for a minute, which doubles, unless there is such a pause already.
    fn failed(&mut self) {
        if self.paused_until.is_none_or(|until| until <= self.now) {
            self.paused_until = Some(self.now + (MINUTE * (1 << self.failures.min(6))).min(30 * MINUTE));
            self.failures += 1;
        }
    }

    /// Takes in that orders without a result have failed after 5 s.
    fn expire(&mut self) {
        let now = self.now;
        let before = self.open.len();
        self.open.retain(|_, (order, closed)| closed.is_some() || now - self.ordered[&order.id] < 5 * SECOND);
        if self.open.len() < before {
            self.failed();
        }
    }

    fn count(&self, backend: SocketAddr) -> u64 {
        let counted = self.counts.get(&backend).map_or(0, |counted| u64::from(counted.connections));
        counted.saturating_sub(self.open.values().filter(|(order, _)| order.backend == backend).count() as u64)
    }

    fn goals(&self, away: u64) -> (u64, u64, BTreeMap<SocketAddr, (u64, u64)>) {
        let ready = self
            .states
            .iter()
            .filter(|(backend, (state, _))| *state == State::Ready && !self.view.suspects.contains(*backend));
        let members: BTreeMap<_, _> =
            ready.map(|(backend, (_, capacity))| (*backend, (self.count(*backend), *capacity))).collect();
        let in_flight = self.open.values().filter(|(_, closed)| closed.is_none()).count() as u64;
        let total = members.values().map(|(count, _)| count).sum::<u64>() + away + in_flight;
        (total, members.values().map(|(_, capacity)| capacity).sum(), members)
    }

    /// Checks a verdict before its orders are taken in.
    fn check(&self, verdict: &Verdict, away: u64) -> Result<(), TestCaseError> {
        let now = self.now;
        prop_assert!(verdict.orders.iter().all(|order| order.why == verdict.orders[0].why), "one reason");
        let Some(why) = verdict.orders.first().map(|order| order.why) else { return Ok(()) };
        prop_assert!(!verdict.is_dry_run || !self.view.has_closer);
        let is_recent = |at: Option<Instant>| at.is_some_and(|at| now - at <= 5 * SECOND);
        prop_assert!(is_recent(self.viewed) && is_recent(self.sampled), "recent knowledge");
        let view = &self.view;
        prop_assert!(
            view.is_fresh && view.is_in_force && view.can_count && view.has_turn && view.proxy_since.is_some()
        );
        prop_assert!(self.paused_until.is_none_or(|until| until <= now), "no order in a pause");
        let ready = self.states.values().filter(|(state, _)| *state == State::Ready).count();
        match why {
            Why::Role => {}
            Why::Drain => prop_assert!(ready >= 1),
            Why::Age | Why::Rebalance => prop_assert!(ready >= 2 && view.suspects.is_empty()),
        }
        for order in &verdict.orders {
            let one = &self.connections[&order.cookie];
            prop_assert_eq!((order.backend, order.local), (one.backend, one.local));
            prop_assert!(!self.open.values().any(|(open, _)| open.cookie == order.cookie), "no connection twice");
            if order.how == How::Finish {
                prop_assert!(order.only_if.answer != AnswerRule::Any && order.only_if.empty_queues);
                prop_assert!(one.quiet >= order.only_if.quiet && one.has_empty_queues && one.answered != Answered::No);
            }
            if matches!(why, Why::Rebalance) {
                prop_assert!(one.answered == Answered::Yes && now - one.first_seen >= 5 * MINUTE);
            }
        }
        if why == Why::Rebalance {
            self.check_rebalance(verdict, away)?;
        }
        Ok(())
    }

    fn check_rebalance(&self, verdict: &Verdict, away: u64) -> Result<(), TestCaseError> {
        let (total, capacity, members) = self.goals(away);
        let room: u64 = members.values().map(|(count, share)| (total * share).saturating_sub(count * capacity)).sum();
        let in_flight = self.open.values().filter(|(_, closed)| closed.is_none()).count() as u64;
        let allowed = (room / capacity).saturating_sub(away + in_flight);
        prop_assert!(verdict.orders.len() as u64 <= allowed, "{} orders, and room for {allowed}", verdict.orders.len());
        for (backend, (count, share)) in &members {
            let ordered = verdict.orders.iter().filter(|order| order.backend == *backend).count() as u64;
            prop_assert!(ordered == 0 || (count - ordered) * capacity >= total * share, "below its goal");
        }
        prop_assert!(self.now - self.set_changed >= 2 * SECOND, "the set has settled");
        let max_away = 20.max(self.ordered_at.len() as u64);
        prop_assert!(away + in_flight + verdict.orders.len() as u64 <= max_away);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 400 } else { 2_000 }))]

    #[test]
    fn no_order_is_ever_against_the_rules(
        only_rebalance: bool, events in prop::collection::vec(event(), 1..80),
    ) {
        let start = Instant::now() + 60 * MINUTE;
        let mut closing = Closing::new(policy(only_rebalance), start - 10 * MINUTE);
        let mut known = Known {
            now: start,
            set_changed: start - 10 * MINUTE,
            states: BTreeMap::new(),
            counts: BTreeMap::new(),
            connections: BTreeMap::new(),
            view: View::default(),
            viewed: None,
            sampled: None,
            open: BTreeMap::new(),
            ordered_at: Vec::new(),
            ordered: BTreeMap::new(),
            paused_until: None,
            failures: 0,
        };
        // A level beginning, so that most runs come to something.
        let begin = [
            Event::Backends(vec![(0, 1); BACKENDS], false),
            Event::View(0),
            Event::Sample((0..100).map(|i| (usize::from(i % 20 == 0), 10, 0, 2_000, true)).collect(), 0, 0),
            Event::Wait(2_500),
            Event::View(0),
            Event::Sample((0..100).map(|i| (usize::from(i % 20 == 0), 10, 0, 2_000, true)).collect(), 0, 0),
        ];
        for event in begin.into_iter().chain(events) {
            apply(&mut closing, &mut known, event);
            known.expire();
            let away = closing.away();
            let verdict = closing.decide(known.now);
            // What was given up now does not count as away any more.
            known.check(&verdict, away.min(closing.away()))?;
            let again = closing.decide(known.now);
            prop_assert!(again.orders.is_empty(), "another decision without news");
            prop_assert_eq!(again.state, closing.decide(known.now).state);
            let in_flight: BTreeSet<Why> =
                known.open.values().filter(|(_, closed)| closed.is_none()).map(|(order, _)| order.why).collect();
            prop_assert!(verdict.orders.iter().all(|order| in_flight.iter().all(|why| *why == order.why)), "one reason");
            for order in verdict.orders {
                if !verdict.is_dry_run {
                    known.ordered_at.push(known.now);
                    known.ordered.insert(order.id, known.now);
                    known.open.insert(order.id, (order, None));
                }
            }
            let last_second = known.ordered_at.iter().filter(|at| known.now - **at < SECOND).count();
            prop_assert!(last_second <= 200);
        }
    }
}

fn apply(closing: &mut Closing, known: &mut Known, event: Event) {
    match event {
        Event::Wait(millis) => known.now += Duration::from_millis(millis),
        Event::Backends(backends, has_left) => {
            let state = |number| match number {
                0..=3 => State::Ready,
                4 => State::Draining,
                _ => State::NotReady,
            };
            let states: BTreeMap<_, _> = backends
                .iter()
                .enumerate()
                .filter(|(index, _)| !has_left || *index != 0)
                .map(|(index, (number, capacity))| (address(index), (state(*number), u64::from(*capacity))))
                .collect();
            let ready = |states: &BTreeMap<SocketAddr, (State, u64)>| -> Vec<_> {
                states.iter().filter(|(_, (state, _))| *state == State::Ready).map(|(a, (_, c))| (*a, *c)).collect()
            };
            if ready(&states) != ready(&known.states) {
                known.set_changed = known.now;
            }
            let set = set(states.iter().map(|(backend, (state, capacity))| {
                Backend::new(*backend, *state)
                    .with_capacity(Capacity::try_from(u8::try_from(*capacity).unwrap()).unwrap())
            }));
            let left_selector = if has_left { [address(0)].into() } else { BTreeSet::new() };
            closing.backends(&set, &Origin::Discovered { left_selector }, known.now);
            known.states = states;
        }
        Event::Sample(connections, opened, closed) => {
            let now = known.now;
            known.connections.clear();
            known.counts = (0..BACKENDS).map(|index| (address(index), Counted::default())).collect();
            for (cookie, (backend, minutes, answered, quiet, has_empty_queues)) in (1..).zip(connections) {
                let connection = Connection {
                    cookie,
                    local: ([10, 1, 0, 1], 40_000).into(),
                    backend: address(backend),
                    first_seen: now - u32::try_from(minutes).unwrap() * MINUTE,
                    is_established: true,
                    answered: [Answered::Yes, Answered::Yes, Answered::Unknown, Answered::No][usize::from(answered)],
                    quiet: Duration::from_millis(quiet),
                    has_empty_queues,
                };
                known.counts.get_mut(&address(backend)).unwrap().connections += 1;
                known.connections.insert(cookie, connection);
            }
            let first = known.counts.get_mut(&address(0)).unwrap();
            (first.opened, first.closed) = (opened, closed);
            let described: Vec<_> = known.connections.values().copied().collect();
            closing.sample(&known.counts, Some(&described), now);
            known.sampled = Some(now);
            known.open.retain(|_, (_, closed)| closed.is_none_or(|at| at >= now));
        }
        Event::View(doubts) => {
            let is_sure = |bit: u8| doubts & (1 << bit) == 0;
            let mut view = clear(known.now - 10 * MINUTE);
            view.is_fresh = is_sure(0);
            view.is_in_force = is_sure(1);
            view.can_count = is_sure(2);
            view.has_turn = is_sure(3);
            view.has_closer = is_sure(4);
            if !is_sure(5) {
                view.suspects.insert(address(1));
            }
            closing.view(view.clone(), known.now);
            (known.view, known.viewed) = (view, Some(known.now));
        }
        Event::Done(kind) => {
            let Some(id) = known.open.iter().find(|(_, (_, closed))| closed.is_none()).map(|(id, _)| *id) else {
                return;
            };
            let done = match kind {
                0 => Done::Failed,
                1 => Done::Refused,
                2 => Done::NotNow,
                3 => Done::Gone,
                _ => Done::Closed,
            };
            closing.done(id, done, known.now);
            if done == Done::Closed {
                known.failures = 0;
            }
            match done {
                Done::Closed | Done::Gone => known.open.get_mut(&id).unwrap().1 = Some(known.now),
                Done::NotNow => drop(known.open.remove(&id)),
                Done::Refused | Done::Failed => {
                    known.open.remove(&id);
                    known.failed();
                }
            }
        }
    }
}
