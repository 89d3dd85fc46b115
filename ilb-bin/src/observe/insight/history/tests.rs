//! Steps, means, gaps and bounds of histories.

use std::time::Duration;

use ilb_connections::Load;

use super::*;
use crate::observe::insight::tests::address;

fn sample(loads: &[(u8, u32, u32)]) -> Sample {
    let load = |(last, established, opened): &(u8, u32, u32)| {
        let mut load = Load::default();
        (load.established, load.opened, load.moved) = (*established, *opened, 1_000);
        (address(*last), load)
    };
    loads.iter().map(load).collect()
}

#[tokio::test(start_paused = true)]
async fn a_step_has_the_mean_of_its_samples_and_the_rates_of_its_seconds() {
    let (history, begun) = (PoolHistory::new(&Budget::default()), Instant::now());
    let at = |seconds| begun + Duration::from_secs(seconds);
    for (second, established) in [(0, 10), (1, 20), (2, 30), (3, 40), (4, 50)] {
        history.sampled(&sample(&[(1, established, 2), (2, established, 0)]), |_| true, Some(0.5), at(second));
    }
    history.sampled(&sample(&[(1, 7, 0)]), |_| true, None, at(11));
    let points = history.pool(Span::TenMinutes, at(16));
    assert_eq!(points.len(), 4);
    assert_eq!((points[0].connections, points[0].opened_per_second), (Some(60.0), Some(2.0)));
    assert_eq!((points[0].bytes_per_second, points[0].imbalance), (Some(2_000.0), Some(0.5)));
    assert_eq!((points[1].connections, points[3].connections), (None, None), "nothing was counted then");
    assert_eq!((points[2].connections, points[2].imbalance), (Some(7.0), None));
    let backends = history.backends(Span::TenMinutes, at(16));
    assert_eq!((backends[0].0, backends[0].1[0].connections), (address(1), Some(30.0)));
    assert_eq!(backends[1].1[2].connections, Some(0.0), "a backend that is not in a sample has no connections");
    let day = history.pool(Span::Day, at(16));
    assert_eq!((day.len(), day[0].opened_per_second), (1, Some(10.0 / 16.0)));
    assert_eq!(history.recent(at(16)).unwrap().connections, Some(7.0));
}

#[tokio::test(start_paused = true)]
async fn a_history_is_bounded_however_long_it_runs_and_however_many_backends_there_are() {
    let (budget, begun) = (Budget::default(), Instant::now());
    let (one, other) = (PoolHistory::new(&budget), PoolHistory::new(&budget));
    let many: Vec<_> = (1..=250).map(|last| (last, 1, 0)).collect();
    for second in [0, 700, 200_000] {
        let now = begun + Duration::from_secs(second);
        one.sampled(&sample(&many), |_| true, None, now);
        other.sampled(&sample(&many), |_| true, None, now);
        assert!(one.pool(Span::TenMinutes, now).len() <= 120 && one.pool(Span::Day, now).len() <= 144);
        assert_eq!(one.pool(Span::TenMinutes, now).last().unwrap().connections, Some(250.0), "all count in the pool");
    }
    let count = |history: &PoolHistory| history.backends(Span::TenMinutes, begun).len();
    assert_eq!((count(&one), count(&other)), (250, Budget::MAX_BACKENDS - 250));
    one.retain(|_| false);
    other.sampled(&sample(&many), |_| true, None, begun + Duration::from_secs(200_001));
    assert_eq!((count(&one), count(&other)), (0, 250), "the place of a backend that left is free");
}

#[tokio::test(start_paused = true)]
async fn time_that_passes_without_samples_shows_as_a_gap() {
    let (history, begun) = (PoolHistory::new(&Budget::default()), Instant::now());
    history.sampled(&sample(&[(1, 1, 0)]), |_| true, None, begun);
    let points = history.pool(Span::TenMinutes, begun + Duration::from_secs(3_600));
    assert_eq!(points.len(), 120);
    assert!(points.iter().all(|point| point.connections.is_none()), "ten minutes without a sample");
}
