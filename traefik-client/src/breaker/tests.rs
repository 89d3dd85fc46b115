use proptest::prelude::*;

use super::*;

type Wishes = Breaker<u8>;

/// Fails what is due until the breaker is open, and returns the end of the pause.
fn opened(breaker: &mut Wishes, mut now: Instant) -> Instant {
    for _ in 0..Wishes::THRESHOLD {
        if let Next::WaitUntil(until) = breaker.next(now) {
            now = until;
            assert!(matches!(breaker.next(now), Next::Try(_)));
        }
        breaker.failed(now);
    }
    match breaker.state(now) {
        BreakerState::Open { until } => until,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_wish_is_tried_once_and_then_there_is_peace() {
    let (mut breaker, now) = (Wishes::new(), Instant::now());
    assert_eq!(breaker.next(now), Next::Idle);
    breaker.wish(1);
    assert_eq!(breaker.next(now), Next::Try(1));
    assert_eq!(breaker.next(now), Next::Idle);
    breaker.succeeded();
    assert_eq!((breaker.next(now), breaker.wished()), (Next::Idle, None));
}

#[test]
fn a_newer_wish_survives_the_success_and_the_failure_of_an_older_attempt() {
    let (mut breaker, now) = (Wishes::new(), Instant::now());
    breaker.wish(1);
    assert_eq!(breaker.next(now), Next::Try(1));
    breaker.wish(2);
    breaker.succeeded();
    assert_eq!(breaker.next(now), Next::Try(2));
    breaker.wish(3);
    breaker.failed(now);
    assert_eq!(breaker.next(now), Next::Try(3));
}

#[test]
fn while_closed_a_repetition_waits_and_a_new_wish_does_not() {
    let (mut breaker, now) = (Wishes::new(), Instant::now());
    breaker.wish(1);
    assert_eq!(breaker.next(now), Next::Try(1));
    breaker.failed(now);
    assert_eq!(breaker.state(now), BreakerState::Closed);
    assert!(matches!(breaker.next(now), Next::WaitUntil(until) if until > now));
    breaker.wish(2);
    assert_eq!(breaker.next(now), Next::Try(2));
}

#[test]
fn while_open_even_a_new_wish_waits_and_is_the_one_that_is_tried() {
    let (mut breaker, now) = (Wishes::new(), Instant::now());
    breaker.wish(1);
    assert_eq!(breaker.next(now), Next::Try(1));
    let until = opened(&mut breaker, now);
    breaker.wish(2);
    assert_eq!(breaker.next(now), Next::WaitUntil(until));
    assert_eq!(breaker.state(until), BreakerState::HalfOpen);
    assert_eq!(breaker.next(until), Next::Try(2));
    assert_eq!(breaker.state(until), BreakerState::HalfOpen);
    breaker.failed(until);
    assert!(matches!(breaker.state(until), BreakerState::Open { .. }));
}

#[test]
fn a_success_closes_it_and_the_pauses_start_anew() {
    let (mut breaker, now) = (Wishes::new(), Instant::now());
    breaker.wish(1);
    assert_eq!(breaker.next(now), Next::Try(1));
    let until = opened(&mut breaker, now);
    assert_eq!(breaker.next(until), Next::Try(1));
    breaker.succeeded();
    assert_eq!(breaker.state(until), BreakerState::Closed);
    breaker.wish(2);
    assert_eq!(breaker.next(until), Next::Try(2));
    breaker.failed(until);
    assert!(matches!(breaker.next(until), Next::WaitUntil(at) if at <= until + Wishes::SHORTEST_PAUSE * 2));
}

#[test]
fn pauses_grow_and_are_bounded() {
    let (mut breaker, mut now) = (Wishes::new(), Instant::now());
    breaker.wish(1);
    let mut last = Duration::ZERO;
    for _ in 0..30 {
        assert_eq!(breaker.next(now), Next::Try(1));
        breaker.failed(now);
        let Next::WaitUntil(until) = breaker.next(now) else { panic!("a pause is due") };
        last = until - now;
        now = until;
    }
    assert!(last >= Wishes::LONGEST_PAUSE && last <= Wishes::LONGEST_PAUSE * 2, "{last:?}");
}

#[derive(Clone, Debug)]
enum Event {
    Wish(u8),
    Next,
    Succeeded,
    Failed,
    Later(u64),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        any::<u8>().prop_map(Event::Wish),
        Just(Event::Next),
        Just(Event::Succeeded),
        Just(Event::Failed),
        (0..20_000_u64).prop_map(Event::Later),
    ];
    prop::collection::vec(event, 0..100)
}

proptest! {
    #[test]
    fn the_last_wish_is_never_lost_and_attempts_never_overlap(events in events()) {
        let (mut breaker, mut now) = (Wishes::new(), Instant::now());
        let (mut last, mut fulfilled, mut trying) = (None, None, None);
        for event in events {
            match event {
                Event::Wish(wish) => { breaker.wish(wish); last = Some(wish); fulfilled = None; }
                Event::Next => if let Next::Try(wish) = breaker.next(now) {
                    prop_assert_eq!(trying, None);
                    prop_assert_eq!(Some(wish), last);
                    trying = Some(wish);
                },
                // A success counts for the latest wish only if nothing was wished since.
                Event::Succeeded => if trying.take().is_some() {
                    breaker.succeeded();
                    if breaker.wished().is_none() { fulfilled = last; }
                },
                Event::Failed => if trying.take().is_some() { breaker.failed(now) },
                Event::Later(milliseconds) => now += Duration::from_millis(milliseconds),
            }
            prop_assert!(breaker.wished().copied() == last || fulfilled == last);
        }
        // However bad it was: after the longest pause, the last wish is tried.
        if trying.is_some() { breaker.failed(now) }
        if fulfilled != last {
            prop_assert_eq!(breaker.next(now + Wishes::LONGEST_PAUSE * 2), Next::Try(last.unwrap()));
        }
    }
}
