//! Tests of the pauses between attempts, and of those that the API server demands.

use super::*;
use crate::Poll;

#[tokio::test(start_paused = true)]
async fn an_api_server_that_demands_a_pause_gets_it() {
    let (pods, mut server) = pods();
    let mut sets = pods.watch();
    server.next().await.text(429, Some(7), "Too many requests, please try again later.").await;
    let started = Instant::now();
    assert!(error(&mut sets).await.contains("please try again later"));
    server.next().await.list(5, &[]).await;
    assert!(started.elapsed() >= Duration::from_secs(7), "{:?}", started.elapsed());
    set(&mut sets).await;
}

/// A refusal whose status demands a pause.
fn busy(seconds: u64) -> serde_json::Value {
    let mut status = refusal(429, "TooManyRequests", "please try again later");
    status["details"] = json!({"retryAfterSeconds": seconds});
    status
}

/// Seconds that an API server demands in each place, and those that it gets.
#[rstest]
#[case::header(&[("retry-after", "7")], "", 7)]
#[case::header_without_bound(&[("retry-after", "4000000000")], "", 30)]
#[case::header_beyond_all_numbers(&[("retry-after", "99999999999999999999999")], "", 30)]
#[case::date(&[("date", "Thu, 26 Nov 2026 08:00:00 GMT"), ("retry-after", "Thu, 26 Nov 2026 08:00:09 GMT")], "", 9)]
#[case::date_without_bound(&[("date", "Thu, 26 Nov 2026 08:00:00 GMT"), ("retry-after", "Fri, 26 Nov 2027 08:00:00 GMT")], "", 30)]
#[case::date_in_the_past(&[("date", "Thu, 26 Nov 2026 08:00:00 GMT"), ("retry-after", "Thu, 26 Nov 2026 07:00:00 GMT")], "", 0)]
#[case::date_without_a_base(&[("retry-after", "Fri, 26 Nov 2027 08:00:00 GMT")], "", 0)]
#[case::nonsense(&[("retry-after", "soon")], "", 0)]
#[case::status(&[], &busy(8).to_string(), 8)]
#[case::status_without_bound(&[], &busy(u32::MAX.into()).to_string(), 30)]
#[case::header_before_status(&[("retry-after", "5")], &busy(8).to_string(), 5)]
#[tokio::test(start_paused = true)]
async fn a_demanded_pause_is_kept_within_half_a_minute(
    #[case] headers: &[(&str, &str)],
    #[case] body: &str,
    #[case] seconds: u64,
) {
    let (pods, mut server) = pods();
    let mut sets = pods.watch();
    server.next().await.answer(429, headers, body).await;
    let started = Instant::now();
    error(&mut sets).await;
    server.next().await.list(5, &[]).await;
    let kept = Duration::from_secs(seconds);
    assert!((kept..kept + Duration::from_secs(1)).contains(&started.elapsed()), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_pause_demanded_by_an_error_event_is_kept_within_half_a_minute() {
    for (demanded, kept) in [(7, 7), (u32::MAX.into(), 30)] {
        let (pods, mut server) = pods();
        let mut sets = pods.watch();
        let mut watch = server.sync(5, &[]).await;
        set(&mut sets).await;
        watch.send("ERROR", &busy(demanded)).await;
        let started = Instant::now();
        error(&mut sets).await;
        server.next().await.list(5, &[]).await;
        let kept = Duration::from_secs(kept);
        assert!((kept..kept + Duration::from_secs(1)).contains(&started.elapsed()), "{:?}", started.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_poll_knows_what_the_api_server_demands() {
    let (pods, mut server) = pods();
    let mut sets = Poll::new(pods, Duration::from_secs(1)).watch();
    server.next().await.text(429, Some(9), "").await;
    let started = Instant::now();
    error(&mut sets).await;
    server.next().await.list(5, &[pod(1, 1)]).await;
    assert!(started.elapsed() >= Duration::from_secs(9), "{:?}", started.elapsed());
    assert_eq!(set(&mut sets).await, [1]);
}

#[rstest]
#[case::lists(false)]
#[case::watches(true)]
#[tokio::test(start_paused = true)]
async fn pauses_grow_to_five_seconds_whatever_fails(#[case] watches: bool) {
    let (pods, mut server) = pods();
    let _sets = pods.watch();
    if watches {
        server.next().await.list(5, &[]).await;
    }
    let (mut pauses, mut failed) = (Vec::new(), None);
    while pauses.len() < 30 {
        let request = server.next().await;
        pauses.extend(failed.take().map(|at: Instant| at.elapsed()));
        if watches && !request.is_watch() {
            request.list(5, &[]).await; // the version, which is requested before a watch is retried
        } else {
            request.refuse(503, "ServiceUnavailable", "not now").await;
            failed = Some(Instant::now());
        }
    }
    assert!(pauses.iter().all(|p| *p <= Duration::from_secs(5)), "{pauses:?}");
    assert!(pauses[20..].iter().all(|p| *p >= Duration::from_millis(2500)), "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn a_loop_of_lists_and_refused_watches_slows_down() {
    let (pods, mut server) = pods();
    let _sets = pods.watch();
    let started = Instant::now();
    for _ in 0..20 {
        server.next().await.list(5, &[]).await;
        let mut watch = server.next().await.watch();
        watch.send("ERROR", &refusal(410, "Expired", "too old")).await;
    }
    assert!(started.elapsed() > Duration::from_secs(30), "{:?}", started.elapsed());
}

#[rstest]
#[case::at_once(Duration::ZERO)]
#[case::soon(Duration::from_millis(500))]
#[tokio::test(start_paused = true)]
async fn watches_that_end_without_an_event_are_not_resumed_in_a_busy_loop(#[case] life: Duration) {
    let (pods, mut server) = pods();
    let _sets = pods.watch();
    server.next().await.list(5, &[]).await;
    let started = Instant::now();
    for _ in 0..20 {
        let watch = server.next().await.watch();
        tokio::time::sleep(life).await;
        drop(watch);
    }
    assert!(started.elapsed() > Duration::from_secs(30), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn lists_do_not_replace_watches_while_the_api_server_demands_pauses() {
    let (pods, mut server) = pods();
    let _sets = pods.watch();
    server.next().await.list(5, &[]).await;
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(120) {
        let request = server.next().await;
        if request.is_watch() {
            request.text(429, Some(2), "").await;
        } else {
            assert_eq!(request.parameter("limit"), Some("1"));
            request.list(5, &[]).await;
        }
    }
}
