//! Both ways of reading, on random worlds.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::own_sockets::OwnSocket;

/// Something that happens in a world.
#[derive(Clone, Debug)]
enum Step {
    /// A connection attempt to the backend of this number, and how far the next local port is away.
    Open(u8, u16),
    /// The backend answers an attempt.
    Answer(usize),
    /// A connection ends.
    Close(usize, EndedBy),
    /// This side resets a connection.
    Reset(usize),
    /// A connection ends, and its process closes the socket later.
    Unhash(usize),
    CloseUnhashed(usize),
    /// One side ends its half of a connection.
    HalfClose(usize, State),
    /// The backend sends data.
    Send(usize, u64),
    OpenProbe(u8),
    CloseProbe(usize),
    /// Announcements arrive.
    Deliver,
    /// The kernel drops announcements from now on, or no longer.
    Deaf(bool),
    /// The next dump passes over sockets.
    PassOver(usize),
    /// The next dump fails.
    FailDump(usize),
    Wait(u64),
    /// Local ports are given elsewhere from now on.
    Shuffle(usize),
    Sample,
}

fn step(may_lose: bool) -> impl Strategy<Value = Step> {
    let ends = prop_oneof![Just(EndedBy::Backend), Just(EndedBy::Proxy)];
    let halves = prop_oneof![Just(State::EndedHere), Just(State::EndedByRemote)];
    let certain = prop_oneof![
        6 => (0..4u8, 1..=8u16).prop_map(|(backend, step)| Step::Open(backend, step)),
        4 => any::<usize>().prop_map(Step::Answer),
        4 => (any::<usize>(), ends).prop_map(|(connection, by)| Step::Close(connection, by)),
        1 => any::<usize>().prop_map(Step::Reset),
        1 => any::<usize>().prop_map(Step::Unhash),
        1 => any::<usize>().prop_map(Step::CloseUnhashed),
        1 => (any::<usize>(), halves).prop_map(|(connection, half)| Step::HalfClose(connection, half)),
        2 => (any::<usize>(), 0..100u64).prop_map(|(connection, bytes)| Step::Send(connection, bytes)),
        1 => (0..4u8).prop_map(Step::OpenProbe),
        1 => any::<usize>().prop_map(Step::CloseProbe),
        3 => Just(Step::Deliver),
        2 => (1..2_000u64).prop_map(Step::Wait),
        4 => Just(Step::Sample),
    ];
    let uncertain = prop_oneof![
        any::<bool>().prop_map(Step::Deaf),
        (0..5usize).prop_map(Step::PassOver),
        (0..9usize).prop_map(Step::FailDump),
        (300..9_000usize).prop_map(Step::Shuffle),
    ];
    if may_lose { prop_oneof![10 => certain, 1 => uncertain].boxed() } else { certain.boxed() }
}

/// Knowledge that a user has who adds up its samples.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Books {
    connections: BTreeMap<SocketAddr, u32>,
    opened: BTreeMap<SocketAddr, u32>,
    closed: BTreeMap<SocketAddr, u32>,
    /// Cookie, backend, who ended it, and the bytes received.
    endings: Vec<(Option<u64>, SocketAddr, EndedBy, u64)>,
}

impl Books {
    /// Enters a sample, and checks that it continues the one before.
    fn enter(&mut self, sample: &Sample, backends: &BTreeSet<SocketAddr>) -> Result<(), TestCaseError> {
        for backend in backends {
            let load = sample.get(*backend);
            let before = self.connections.insert(*backend, load.connections()).unwrap_or(0);
            prop_assert_eq!(before + load.opened - load.closed, load.connections(), "{} {:?}", backend, load);
            *self.opened.entry(*backend).or_default() += load.opened;
            *self.closed.entry(*backend).or_default() += load.closed;
        }
        self.endings.extend(sample.endings().iter().map(|e| (e.cookie, e.backend, e.by, e.received)));
        self.endings.sort_by_key(|(cookie, ..)| *cookie);
        Ok(())
    }
}

/// A world, what has happened in it, and what its readers know.
struct Play {
    world: World,
    backends: Arc<BTreeSet<SocketAddr>>,
    truth: Books,
    /// Connections whose end the truth knows only in part.
    vague: BTreeSet<u64>,
    probes: Vec<(u64, OwnSocket)>,
    followed: Bench,
    dumped: Bench,
    /// Books of two users of announcements, and of one of dumps.
    books: [Books; 3],
}

impl Play {
    fn new(world: World) -> Self {
        let backends: BTreeSet<SocketAddr> = (1..=4).map(|host| ([10, 0, 0, host], 80).into()).collect();
        for backend in &backends {
            world.lock().connect(*backend, USER);
        }
        let (followed, dumped) = (Bench::new(&world, By::Announcements), Bench::new(&world, By::Dumps));
        let mut play = Self {
            world,
            backends: Arc::new(backends),
            truth: Books::default(),
            vague: BTreeSet::new(),
            probes: Vec::new(),
            followed,
            dumped,
            books: <[Books; 3]>::default(),
        };
        play.books = [(); 3]
            .map(|()| Books { connections: play.backends.iter().map(|b| (*b, 1)).collect(), ..Books::default() });
        for user in [1, 2] {
            play.followed.sample_of(user, &play.backends);
        }
        play.dumped.sample_of(1, &play.backends);
        play
    }

    fn backend(&self, number: u8) -> SocketAddr {
        *self.backends.iter().nth(number.into()).unwrap()
    }

    /// Returns one of the connections in this state that are no probes.
    fn pick(&self, number: usize, states: &[State]) -> Option<u64> {
        let world = self.world.lock();
        let matches = |(identity, socket): &(&u64, &Socket)| {
            states.contains(&socket.state) && !self.probes.iter().any(|(probe, _)| probe == *identity)
        };
        let identities: Vec<u64> = world.sockets.iter().filter(matches).map(|(identity, _)| *identity).collect();
        (!identities.is_empty()).then(|| identities[number % identities.len()])
    }

    fn run(&mut self, step: &Step) -> Result<(), TestCaseError> {
        const ANY: &[State] = &[State::Opening, State::Established, State::EndedHere, State::EndedByRemote];
        const UP: &[State] = &[State::Established, State::EndedHere, State::EndedByRemote];
        match *step {
            Step::Open(backend, step) => {
                let backend = self.backend(backend);
                self.world.lock().open(backend, USER, step);
                *self.truth.opened.entry(backend).or_default() += 1;
            }
            Step::Answer(number) => {
                if let Some(attempt) = self.pick(number, &[State::Opening]) {
                    self.world.lock().change(attempt, |socket| socket.state = State::Established);
                }
            }
            Step::Close(number, by) => {
                if let Some(identity) = self.pick(number, ANY) {
                    let socket = self.world.lock().sockets[&identity];
                    // Whoever ended its half was the first.
                    let by = match socket.state {
                        State::Opening => EndedBy::NeverAnswered,
                        State::EndedHere => EndedBy::Proxy,
                        State::EndedByRemote => EndedBy::Backend,
                        _ => by,
                    };
                    self.world.lock().close(identity, by);
                    self.ended(&socket, by);
                }
            }
            Step::Reset(number) => {
                if let Some(identity) = self.pick(number, UP) {
                    let socket = self.world.lock().sockets[&identity];
                    self.world.lock().reset(identity);
                    self.ended(&socket, EndedBy::Proxy);
                }
            }
            Step::Unhash(number) => {
                if let Some(identity) = self.pick(number, &[State::Established]) {
                    let socket = self.world.lock().sockets[&identity];
                    self.world.lock().unhash(identity);
                    self.vague.insert(identity);
                    self.ended(&socket, EndedBy::Unknown);
                }
            }
            Step::CloseUnhashed(number) => {
                let unhashed = self.world.lock().unhashed();
                if !unhashed.is_empty() {
                    self.world.lock().close(unhashed[number % unhashed.len()], EndedBy::Backend);
                }
            }
            Step::HalfClose(number, half) => {
                if let Some(connection) = self.pick(number, &[State::Established]) {
                    self.world.lock().change(connection, |socket| socket.state = half);
                }
            }
            Step::Send(number, bytes) => {
                if let Some(identity) = self.pick(number, UP) {
                    self.world.lock().change(identity, |socket| {
                        socket.traffic.bytes += bytes;
                        socket.traffic.received += bytes;
                    });
                }
            }
            Step::OpenProbe(backend) => {
                let probe = self.world.lock().open_probe(self.backend(backend));
                self.probes.push(probe);
            }
            Step::CloseProbe(number) => {
                if !self.probes.is_empty() {
                    let (identity, reserved) = self.probes.swap_remove(number % self.probes.len());
                    self.world.lock().close(identity, EndedBy::Proxy);
                    drop(reserved);
                }
            }
            Step::Deliver => self.world.lock().deliver(),
            Step::Deaf(is_deaf) => self.world.lock().is_deaf = is_deaf,
            Step::PassOver(sockets) => self.world.lock().passed_over = sockets,
            Step::FailDump(after) => self.world.lock().dump_fails_after = Some(after),
            Step::Shuffle(by) => self.world.lock().shuffle(by),
            Step::Wait(millis) => self.world.lock().wait(Duration::from_millis(millis)),
            Step::Sample => self.sample()?,
        }
        Ok(())
    }

    fn ended(&mut self, socket: &Socket, by: EndedBy) {
        *self.truth.closed.entry(socket.remote).or_default() += 1;
        self.truth.endings.push((Some(socket.identity), socket.remote, by, socket.traffic.received));
    }

    /// Takes a sample of each user. The dumps of the other way are perfect.
    fn sample(&mut self) -> Result<(), TestCaseError> {
        for user in [1, 2] {
            if let Ok(sample) = self.followed.try_sample(user, &self.backends) {
                self.books[usize::try_from(user).unwrap() - 1].enter(&sample, &self.backends)?;
            }
        }
        let (passed_over, fails_after) = {
            let mut world = self.world.lock();
            (std::mem::take(&mut world.passed_over), world.dump_fails_after.take())
        };
        let sample = self.dumped.sample_of(1, &self.backends);
        self.books[2].enter(&sample, &self.backends)?;
        let mut world = self.world.lock();
        (world.passed_over, world.dump_fails_after) = (passed_over, fails_after);
        Ok(())
    }

    /// Lets everything come to rest, and checks that both ways know the state of the world.
    fn finish(&mut self) -> Result<(), TestCaseError> {
        {
            let mut world = self.world.lock();
            (world.is_deaf, world.passed_over, world.dump_fails_after) = (false, 0, None);
        }
        while !self.world.lock().unhashed().is_empty() {
            self.run(&Step::CloseUnhashed(0))?;
        }
        self.run(&Step::Deliver)?;
        self.sample()?;
        self.run(&Step::Wait(10_000))?;
        self.sample()?;
        let [followed, dumped] = [&mut self.followed, &mut self.dumped].map(|bench| bench.sample_of(1, &self.backends));
        let world = self.world.lock();
        for backend in &*self.backends {
            let is_probe = |identity: &u64| self.probes.iter().any(|(probe, _)| probe == identity);
            let sockets: Vec<&Socket> =
                world.sockets.values().filter(|s| s.remote == *backend && !is_probe(&s.identity)).collect();
            let count = |states: &[State]| sockets.iter().filter(|s| states.contains(&s.state)).count();
            for (load, by) in [(followed.get(*backend), By::Announcements), (dumped.get(*backend), By::Dumps)] {
                prop_assert_eq!(load.established as usize, count(&[State::Established]), "{:?}", by);
                prop_assert_eq!(load.opening as usize, count(&[State::Opening]), "{:?}", by);
                let half = count(&[State::EndedHere, State::EndedByRemote]);
                prop_assert_eq!(load.half_closed as usize, half, "{:?}", by);
                prop_assert_eq!(load.bytes, sockets.iter().map(|s| s.traffic.bytes).sum::<u64>(), "{:?}", by);
            }
        }
        Ok(())
    }
}

fn without_zeros(counts: &BTreeMap<SocketAddr, u32>) -> BTreeMap<SocketAddr, u32> {
    counts.iter().filter(|(_, count)| **count > 0).map(|(backend, count)| (*backend, *count)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Where nothing is lost, each connection is counted once, however short it lived, and so is its end. What a dump
    /// shows before it is announced is known less exactly.
    #[test]
    fn announcements_count_every_connection(
        steps in proptest::collection::vec(step(false), 1..90),
        is_prompt in any::<bool>(),
    ) {
        let mut play = Play::new(World::new());
        for step in &steps {
            if is_prompt {
                play.run(&Step::Deliver)?;
            }
            play.run(step)?;
        }
        play.finish()?;
        let mut truth = play.truth.endings.clone();
        truth.sort_by_key(|(cookie, ..)| *cookie);
        for books in &play.books[..2] {
            prop_assert_eq!(without_zeros(&books.opened), without_zeros(&play.truth.opened));
            prop_assert_eq!(without_zeros(&books.closed), without_zeros(&play.truth.closed));
            prop_assert!(books.endings.iter().map(|(cookie, ..)| cookie).eq(truth.iter().map(|(cookie, ..)| cookie)));
        }
        if is_prompt && play.vague.is_empty() {
            prop_assert_eq!(&play.books[0].endings, &truth);
        }
        // Dumps miss what lived between two of them.
        for backend in &*play.backends {
            let closed = |books: &Books| books.closed.get(backend).copied().unwrap_or(0);
            prop_assert!(closed(&play.books[2]) <= closed(&play.truth));
        }
    }

    /// Whatever is lost, passed over or fails, the counts are right in the end, and at each moment every sample continues
    /// the one before.
    #[test]
    fn both_ways_come_to_the_same_counts(steps in proptest::collection::vec(step(true), 1..90)) {
        let mut play = Play::new(World::with_local_ports(40_000, 60_000));
        for step in &steps {
            play.run(step)?;
        }
        play.finish()?;
        for books in &play.books[..2] {
            for backend in &*play.backends {
                let count = |counts: &BTreeMap<SocketAddr, u32>| counts.get(backend).copied().unwrap_or(0);
                prop_assert!(count(&books.opened) <= count(&play.truth.opened));
                prop_assert!(count(&books.closed) <= count(&play.truth.closed));
            }
        }
    }
}
