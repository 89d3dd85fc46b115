//! Names in the status and the metrics: of pods, sources and of this process.

use ilb_discovery::{Complaint, SourceInfo, SourceKind};

use super::*;
use crate::settings::InstanceSettings;

#[tokio::test(start_paused = true)]
async fn backends_pools_and_the_instance_are_shown_by_name() {
    let name = |text: &str| Some(text.to_owned());
    let instance = InstanceSettings {
        pod: name("lb-0"),
        namespace: name("infra"),
        release: name("lb"),
        ..InstanceSettings::default()
    };
    let insight = Insight::new().with_instance(&instance);
    let pool = Reporter::add(&insight, "default", "tcp", Method::LeastConnections);
    let mut source = SourceInfo::new(SourceKind::Pods, "app=db");
    (source.namespaces, source.port) = (vec!["apps".to_owned()], name("5432"));
    pool.source.set_info(Some(source));
    pool.discovered(&pods(&["db-0", "db-1"]));
    advance(Duration::from_secs(7)).await;
    let shown = status(&insight);
    assert_eq!(shown["instance"], json!({"pod": "lb-0", "namespace": "infra", "node": null, "release": "lb"}));
    assert!(shown["summary"]["detail"].as_str().unwrap().starts_with("pod lb-0 in infra, release lb, ilb "), "{shown}");
    assert_eq!(shown["pools"][0]["source"]["text"], "pods app=db in namespace apps, port 5432");
    let backend = &shown["pools"][0]["backends"][1];
    assert_eq!(
        (&backend["pod"], &backend["namespace"], &backend["node"]),
        (&json!("db-1"), &json!("apps"), &json!("n"))
    );
    assert_eq!(backend["state_seconds"], 7.0);

    let text = Metrics::new(insight.clone(), DroppedLines::default()).text(Format::OpenMetrics).unwrap();
    for line in [
        r#"ilb_backend_info{pool="default",backend="10.0.0.1:5432",backend_pod="db-0",backend_namespace="apps",backend_node="n",zone=""} 1"#,
        r#"ilb_backend_state_seconds{pool="default",backend="10.0.0.1:5432"} 7"#,
        r#"ilb_pool_info{pool="default",entry_point="tcp",method="leastconn",source="pods",what="app=db",namespaces="apps",port="5432"} 1"#,
        r#"ilb_instance_info{ilb_pod="lb-0",ilb_namespace="infra",ilb_node="",release="lb"} 1"#,
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_refused_is_named_with_the_reason() {
    let (insight, pool) = insight();
    let text = "no container has a TCP port named db";
    pool.source.set_complaints(vec![Complaint::new("db-0", text, true), Complaint::new("db-1", text, true)]);
    pool.discovered(&set(&[]));
    let shown = &status(&insight)["pools"][0];
    assert_eq!(shown["complaints"]["count"], 2);
    assert_eq!(shown["complaints"]["listed"][0], json!({"object": "db-0", "text": text, "left_out": true}));
    let note = shown["note"].as_str().unwrap();
    assert!(note.ends_with(&format!("2 objects were left out, such as db-0: {text}.")), "{note}");
}
