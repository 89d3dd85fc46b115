//! The zones of a pool in the facts, the status and the metrics.

use ilb_reconciler::zones::ZonePreference;

use super::*;

fn metrics(insight: &Insight) -> String {
    Metrics::new(insight.clone(), DroppedLines::default()).text(Format::OpenMetrics).unwrap()
}

/// Creates a pool that prefers its own zone, with a backend in each of these zones.
fn preferring(zones: &[&str]) -> (Insight, Reporter) {
    let insight = Insight::new();
    let about = ("default", "tcp", Method::LeastConnections);
    let pool = Reporter::add_with(&insight, about, |pool| pool.zone_max_excess_percent = Some(20));
    let backend = |(last, zone): (u8, &&str)| Backend::new(address(last), State::Ready).with_zone(zone.parse().ok());
    pool.discovered(&Arc::new((1..).zip(zones).map(backend).collect()));
    (insight, pool)
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_prefers_no_zone_shows_none() {
    let (insight, pool) = insight();
    pool.discovered(&set(&[State::Ready]));
    pool.sampled(&sample(&[1]));
    assert_eq!(status(&insight)["pools"][0]["zones"], Value::Null);
    assert!(!metrics(&insight).contains("ilb_pool_zone_connections{"));
}

#[tokio::test(start_paused = true)]
async fn connections_are_counted_by_zone() {
    let (insight, pool) = preferring(&["a", "a", "b", ""]);
    pool.balancer().set_zones(Some(ZonePreference::new("a".parse().unwrap())));
    pool.sampled(&sample(&[5, 4, 2, 1]));
    pool.sampled(&sample(&[6, 4, 1, 1]));
    let shown = status(&insight)["pools"][0]["zones"].clone();
    assert_eq!((&shown["own"], &shown["max_excess"]), (&json!("a"), &json!(0.2)));
    let connections = ["connections_in_own", "connections_to_others", "connections_to_unknown"].map(|key| &shown[key]);
    assert_eq!(connections, [&json!(10), &json!(1), &json!(1)]);
    let summary = &shown["summary"];
    assert_eq!(summary["text"], "Prefers 2 backends in a");
    assert_eq!(summary["detail"], "17 % of 12 connections lead to other zones");
    let text = metrics(&insight);
    for line in [
        r#"ilb_pool_zone_connections{pool="default",zone="own"} 10"#,
        r#"ilb_pool_zone_connections{pool="default",zone="other"} 1"#,
        r#"ilb_pool_zone_connections{pool="default",zone="unknown"} 1"#,
        r#"ilb_pool_zone_opened_total{pool="default",zone="own"} 4"#,
        r#"ilb_pool_zone_opened_total{pool="default",zone="other"} 2"#,
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_keeps_backends_from_being_preferred_is_said() {
    let (insight, pool) = preferring(&["a", "b"]);
    pool.sampled(&sample(&[1, 1]));
    let summary = || status(&insight)["pools"][0]["zones"]["summary"].clone();
    assert_eq!((&summary()["severity"], &summary()["text"]), (&json!("warning"), &json!("Unknown")));
    assert!(degraded(&insight).iter().all(|reason| !reason.contains("zone")), "no client is hurt");
    pool.balancer().set_zones(Some(ZonePreference::new("c".parse().unwrap())));
    pool.sampled(&sample(&[1, 1]));
    assert_eq!((&summary()["severity"], &summary()["text"]), (&json!("warning"), &json!("c has no backends")));
}
