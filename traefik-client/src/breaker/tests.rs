//! Tests of the circuit breaker.

use proptest::prelude::*;

use super::*;

/// Fails each attempt that is due until the breaker is open, and returns the end of the pause.
fn opened(breaker: &mut Breaker, mut now: Instant) -> Instant {
    for _ in 0..Breaker::FAILURES_TO_OPEN {
        now = breaker.paused_until(now).unwrap_or(now);
        breaker.failed(now);
    }
    match breaker.state(now) {
        BreakerState::Open { until } => until,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_new_breaker_is_closed_and_does_not_pause() {
    let (breaker, now) = (Breaker::new(), Instant::now());
    assert_eq!((breaker.state(now), breaker.paused_until(now)), (BreakerState::Closed, None));
}

#[test]
fn while_closed_a_repetition_waits_and_an_attempt_with_something_new_does_not() {
    let (mut breaker, now) = (Breaker::new(), Instant::now());
    breaker.failed(now);
    assert_eq!(breaker.state(now), BreakerState::Closed);
    assert!(breaker.paused_until(now).is_some_and(|until| until > now));
    breaker.skip_pause();
    assert_eq!(breaker.paused_until(now), None);
}

#[test]
fn while_open_even_an_attempt_with_something_new_waits() {
    let (mut breaker, now) = (Breaker::new(), Instant::now());
    let until = opened(&mut breaker, now);
    breaker.skip_pause();
    assert_eq!(breaker.paused_until(now), Some(until));
    assert_eq!(breaker.state(until), BreakerState::HalfOpen);
    assert_eq!(breaker.paused_until(until), None);
    breaker.failed(until);
    assert!(matches!(breaker.state(until), BreakerState::Open { .. }));
}

#[test]
fn a_success_closes_it_and_the_next_pause_is_the_shortest() {
    let (mut breaker, now) = (Breaker::new(), Instant::now());
    let until = opened(&mut breaker, now);
    breaker.succeeded();
    assert_eq!((breaker.state(until), breaker.paused_until(until)), (BreakerState::Closed, None));
    breaker.failed(until);
    assert!(breaker.paused_until(until).is_some_and(|at| at <= until + Breaker::SHORTEST_PAUSE * 2));
}

#[test]
fn pauses_grow_and_are_bounded() {
    let (mut breaker, mut now) = (Breaker::new(), Instant::now());
    let mut last = Duration::ZERO;
    for _ in 0..30 {
        breaker.failed(now);
        let until = breaker.paused_until(now).expect("a pause is due");
        last = until - now;
        now = until;
    }
    assert!(last >= Breaker::LONGEST_PAUSE && last <= Breaker::LONGEST_PAUSE * 2, "{last:?}");
}

#[derive(Clone, Debug)]
enum Step {
    SkipPause,
    Succeeded,
    Failed,
    Later(u64),
}

fn events() -> impl Strategy<Value = Vec<Step>> {
    let event = prop_oneof![
        Just(Step::SkipPause),
        Just(Step::Succeeded),
        Just(Step::Failed),
        (0..20_000_u64).prop_map(Step::Later),
    ];
    prop::collection::vec(event, 0..100)
}

proptest! {
    #[test]
    fn after_the_longest_pause_an_attempt_is_due_and_only_failures_in_a_row_open_it(events in events()) {
        let (mut breaker, mut now, mut in_a_row) = (Breaker::new(), Instant::now(), 0);
        for event in events {
            match event {
                Step::SkipPause => breaker.skip_pause(),
                Step::Succeeded => { breaker.succeeded(); in_a_row = 0; }
                Step::Failed => { breaker.failed(now); in_a_row += 1; }
                Step::Later(milliseconds) => now += Duration::from_millis(milliseconds),
            }
            prop_assert_eq!(breaker.state(now) == BreakerState::Closed, in_a_row < Breaker::FAILURES_TO_OPEN);
            prop_assert_eq!(breaker.paused_until(now + Breaker::LONGEST_PAUSE * 2), None);
        }
    }
}

#[test]
fn no_two_clients_pause_for_the_same_times() {
    let now = Instant::now();
    let ends = |breaker: &mut Breaker| (0..20).map(|_| opened(breaker, now)).collect::<Vec<_>>();
    assert_ne!(ends(&mut Breaker::new()), ends(&mut Breaker::new()));
}
