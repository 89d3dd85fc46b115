//! The siblings in the facts, the status and the metrics.

use ilb_siblings::Problem;

use super::*;

const SIBLING: ReplicaId = ReplicaId::new(2);

fn at(last: u8) -> SocketAddr {
    ([10, 0, 1, last], 8081).into()
}

fn metrics(insight: &Insight) -> String {
    Metrics::new(insight.clone(), DroppedLines::default()).text(Format::OpenMetrics).unwrap()
}

fn heard(last: u8) -> SiblingEvent {
    SiblingEvent::Heard { address: at(last), replica: ReplicaId::new(u128::from(last)) }
}

#[tokio::test(start_paused = true)]
async fn a_replica_without_an_exchange_shows_nothing_of_it() {
    let (insight, pool) = insight();
    pool.discovered(&set(&[State::Ready]));
    pool.sampled(&sample(&[1]));
    let status = status(&insight);
    assert_eq!((&status["siblings"], &status["pools"][0]["sharing"]), (&Value::Null, &Value::Null));
    let text = metrics(&insight);
    let series = text.lines().filter(|line| !line.starts_with('#') && line.contains("sibling"));
    assert_eq!(series.count(), 0, "{text}");
    assert!(!text.contains("ilb_pool_share_ratio{"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_may_not_list_its_siblings_is_degraded_where_there_have_to_be_some() {
    let (insight, _pool) = insight();
    insight.siblings_forbidden(Some("it may not list endpointslices in namespace shop".into()));
    assert!(degraded(&insight).iter().all(|reason| !reason.contains("alone")), "with one replica it is no problem");
    assert_eq!(status(&insight)["siblings"]["summary"]["text"], "None: balancing alone");
    insight.expect_siblings(true);
    let reasons = degraded(&insight);
    let expected = "each replica balances alone: it may not list endpointslices in namespace shop";
    assert!(reasons.contains(&expected.to_owned()), "{reasons:?}");
    let summary = status(&insight)["siblings"]["summary"].clone();
    assert_eq!(
        (&summary["severity"], &summary["text"], &summary["detail"]),
        (
            &json!("warning"),
            &json!("Unknown: balancing alone"),
            &json!("it may not list endpointslices in namespace shop")
        )
    );
    insight.siblings_forbidden(None);
    assert!(degraded(&insight).iter().all(|reason| !reason.contains("alone")));
}

#[tokio::test(start_paused = true)]
async fn siblings_that_answer_and_do_not_are_shown_and_counted() {
    let (insight, pool) = insight();
    pool.sibling(&SiblingEvent::AllAsked);
    assert_eq!(status(&insight)["siblings"]["summary"]["text"], "None: balancing alone");
    pool.sibling(&heard(2));
    pool.sibling(&heard(3));
    let shown = status(&insight)["siblings"].clone();
    assert_eq!((&shown["heard"], &shown["summary"]["severity"]), (&json!(2), &json!("ok")));
    let problem = Problem::Status(404);
    pool.sibling(&SiblingEvent::Failed { address: at(3), problem: problem.clone() });
    pool.sibling(&SiblingEvent::Lost { address: at(3), replica: Some(ReplicaId::new(3)), problem });
    advance(Duration::from_secs(7)).await;
    let shown = status(&insight)["siblings"].clone();
    assert_eq!((&shown["heard"], &shown["summary"]["severity"]), (&json!(1), &json!("warning")));
    let lost = &shown["siblings"][1];
    assert_eq!(
        (&lost["address"], &lost["heard"], &lost["for_seconds"]),
        (&json!("10.0.1.3:8081"), &json!(false), &json!(7.0))
    );
    assert!(lost["problem"].as_str().unwrap().contains("404"), "{lost}");
    pool.report_ignored(SIBLING, Ignored::Old);
    let text = metrics(&insight);
    for line in [
        r#"ilb_siblings{state="heard"} 1"#,
        r#"ilb_siblings{state="lost"} 1"#,
        r#"ilb_sibling_failures_total{kind="status"} 1"#,
        r#"ilb_sibling_failures_total{kind="slow"} 0"#,
        r#"ilb_sibling_reports_ignored_total{reason="old"} 1"#,
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    pool.sibling(&SiblingEvent::Left { address: at(3), replica: Some(ReplicaId::new(3)) });
    assert_eq!(status(&insight)["siblings"]["siblings"].as_array().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_pool_shows_its_share_and_how_old_the_counts_of_the_siblings_are() {
    let (insight, pool) = insight();
    pool.shares_with(SIBLING);
    pool.discovered(&set(&[State::Ready]));
    pool.sampled(&sample(&[1]));
    advance(Duration::from_secs(2)).await;
    let shown = status(&insight)["pools"][0]["sharing"].clone();
    assert_eq!(shown["share"], json!(0.5));
    assert_eq!(shown["siblings"][0]["replica"], SIBLING.to_string());
    assert!(shown["siblings"][0]["age_seconds"].as_f64().unwrap() >= 2.0, "{shown}");
    assert_eq!(shown["summary"]["text"], "Gets 50 % of the new connections");
    let backend = status(&insight)["pools"][0]["backends"][0].clone();
    assert_eq!((&backend["established"], &backend["total"]), (&json!(1), &json!(1)), "the sibling has none there");
    let text = metrics(&insight);
    assert!(text.contains(r#"ilb_pool_share_ratio{pool="default"} 0.5"#), "{text}");
    assert!(text.contains(r#"ilb_pool_siblings{pool="default"} 1"#), "{text}");
    let total = r#"ilb_backend_connections_of_all_replicas{pool="default",backend="10.0.0.1:5432"} 1"#;
    assert!(text.contains(total), "{text}");
}
