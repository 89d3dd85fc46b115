//! The metrics of a running ilb are those of the document, and they are true.

#![allow(clippy::float_cmp, reason = "counts are exact")]

use std::collections::BTreeMap;

use ilb_testbed::{ApiServer, World, eventually};

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn the_series_of_a_backend_end_with_it() {
    let world = World::start(3).await.unwrap();
    let mut connections = world.connect_to_each(3).await.unwrap();
    let series = |index| format!(r#"backend="{}",state="established""#, world.address(index));
    eventually("the connections are counted", async || {
        let metrics = world.admin.metrics().await?;
        let counted =
            |index| metrics.contains(&format!("ilb_backend_connections{{pool=\"default\",{}}} 1", series(index)));
        anyhow::ensure!((0..3).all(counted), "{metrics}");
        Ok(())
    })
    .await
    .unwrap();

    world.pods.remove(&World::pod(1)).await.unwrap();
    world.wait_until_in_force(2).await.unwrap();
    // In force already when the pod drains, a moment before it is gone.
    eventually("the series of the backend end", async || {
        let metrics = world.admin.metrics().await?;
        anyhow::ensure!(!metrics.contains(&world.address(1).to_string()), "{metrics}");
        anyhow::ensure!(metrics.contains(&world.address(2).to_string()), "{metrics}");
        Ok(())
    })
    .await
    .unwrap();
    assert!(world.admin.metric("ilb_pool_backends{pool=\"default\",state=\"ready\"}").await.unwrap() == 2.0);
    for connection in &mut connections {
        connection.check_alive().await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_restart_of_traefik_and_an_outage_of_the_api_server_can_be_counted() {
    let mut world = World::on(ApiServer::start().await.unwrap(), 1, &[]).await.unwrap();
    world.traefik.kill().unwrap();
    world.admin.wait_until_failing("/readyz").await.unwrap();
    assert_eq!(world.admin.metric("ilb_traefik_in_force").await.unwrap(), 0.0);
    world.traefik.restart().await.unwrap();
    world.admin.wait_until_ok("/readyz").await.unwrap();
    assert_eq!(world.admin.metric("ilb_traefik_restarts_total").await.unwrap(), 1.0);
    assert!(world.admin.metric(r#"ilb_pushes_total{reason="repair",result="in force"}"#).await.unwrap() >= 1.0);

    world.api_server.kill().unwrap();
    eventually("the view is stale", async || {
        let errors = world.admin.metric(r#"ilb_discovery_errors_total{pool="default",kind="unreachable"}"#).await?;
        let staleness = world.admin.metric(r#"ilb_discovery_staleness_seconds{pool="default"}"#).await?;
        anyhow::ensure!(errors >= 1.0 && staleness > 0.0, "{errors} errors, stale for {staleness} s");
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn the_document_is_that_of_the_endpoint() {
    let world = World::start(2).await.unwrap();
    let open_metrics = "application/openmetrics-text; version=1.0.0";
    let (_, media_type, text) = world.admin.get_with("/metrics", "Accept", open_metrics).await.unwrap();
    assert_eq!(media_type, format!("{open_metrics}; charset=utf-8"));
    let there: BTreeMap<String, &str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .map(|(name, kind)| match kind {
            "counter" => (format!("{name}_total"), kind),
            "info" => (format!("{name}_info"), kind),
            _ => (name.to_owned(), kind),
        })
        .collect();
    let document = include_str!("../../../docs/metrics.md");
    let documented: BTreeMap<String, &str> = document
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .filter_map(|(name, rest)| Some((name.to_owned(), rest.split_once(" |")?.0)))
        .collect();
    assert_eq!(there, documented);
    assert!(text.ends_with("# EOF\n"));
}

/// Collectors that know only the classic format take a line that it does not have for an error.
#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_client_that_accepts_plain_text_gets_the_classic_format() {
    let world = World::start(2).await.unwrap();
    for accept in ["text/plain", "text/plain;version=0.0.4;q=0.5,*/*;q=0.1", "*/*"] {
        let (_, media_type, text) = world.admin.get_with("/metrics", "Accept", accept).await.unwrap();
        assert_eq!(media_type, "text/plain; version=0.0.4; charset=utf-8", "{accept}");
        let types: BTreeMap<_, _> =
            text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
        for line in text.lines() {
            let Some((series, value)) = line.rsplit_once(' ').filter(|_| !line.starts_with('#')) else {
                assert!(
                    line.starts_with("# HELP ilb_") || line.starts_with("# TYPE ilb_") || line.contains(" process_"),
                    "{line}"
                );
                continue;
            };
            assert!(value.parse::<f64>().is_ok(), "{line}");
            let name = series.split('{').next().unwrap();
            let histogram = ["_sum", "_count", "_bucket"].iter().find_map(|suffix| name.strip_suffix(suffix));
            let is_declared = |name: &str, kinds: &[&str]| types.get(name).is_some_and(|kind| kinds.contains(kind));
            let declared = is_declared(name, &["counter", "gauge"])
                || histogram.is_some_and(|name| is_declared(name, &["histogram"]));
            assert!(declared, "{line}");
        }
        assert!(types.contains_key("ilb_pushes_total") && types.contains_key("ilb_build_info"), "{types:?}");
    }
}
