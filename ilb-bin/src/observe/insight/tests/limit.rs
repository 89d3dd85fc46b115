//! The limit of connections in the facts, the status and the metrics.

use super::*;

fn metrics(insight: &Insight) -> String {
    Metrics::new(insight.clone(), DroppedLines::default()).text(Format::OpenMetrics).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_pool_without_a_limit_shows_none() {
    let (insight, pool) = insight();
    pool.discovered(&set(&[State::Ready]));
    pool.sampled(&sample(&[1_000]));
    assert_eq!(status(&insight)["pools"][0]["limit"], Value::Null);
    let text = metrics(&insight);
    assert!(!text.contains("ilb_pool_full{") && !text.contains("ilb_pool_max_connections{"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_is_full_is_shown_degraded_and_counted_once() {
    let (insight, pool) = insight();
    let limited: BackendSet =
        set(&[State::Ready]).iter().map(|backend| backend.clone().with_max_connections(Some(3))).collect();
    pool.discovered(&Arc::new(limited));
    for (connections, is_full, times, seconds) in
        [(2, false, 0, "0"), (3, true, 1, "0"), (4, true, 1, "2"), (1, false, 1, "4"), (3, true, 2, "4")]
    {
        pool.sampled(&sample(&[connections]));
        let shown = status(&insight)["pools"][0].clone();
        let limit = &shown["limit"];
        assert_eq!((&limit["max_connections"], &limit["connections"]), (&json!(3), &json!(connections)));
        assert_eq!(limit["full"], json!(is_full), "{limit}");
        let is_degraded = shown["degraded"].to_string().contains("new connections are closed at once");
        assert_eq!(is_degraded, is_full, "{}", shown["degraded"]);
        let text = metrics(&insight);
        for line in [
            r#"ilb_pool_max_connections{pool="default"} 3"#.to_owned(),
            format!(r#"ilb_pool_full{{pool="default"}} {}"#, u8::from(is_full)),
            format!(r#"ilb_pool_filled_total{{pool="default"}} {times}"#),
            format!(r#"ilb_pool_full_seconds_total{{pool="default"}} {seconds}"#),
        ] {
            assert!(text.contains(&line), "{line}: {text}");
        }
        advance(Duration::from_secs(2)).await;
    }
}
