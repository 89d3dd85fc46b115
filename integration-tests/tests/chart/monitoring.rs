//! Metrics can be scraped, alerts and the dashboard ask for metrics that exist, and each alert has a runbook.

use std::collections::BTreeSet;

use ilb_testbed::Chart;
use promql_parser::parser::{self, Expr};
use serde_json::Value;

#[test]
#[ignore = "needs the testbed: make test"]
fn both_metrics_ports_are_scraped_once_whichever_monitor_is_chosen() {
    let chart = Chart::new().unwrap();
    let pods =
        chart.render("{env: {relay: a=b}, metrics: {enabled: 'true', podMonitor: {labels: {release: p}}}}").unwrap();
    let monitor = pods.only("PodMonitor").unwrap();
    let ports: Vec<_> = monitor["spec"]["podMetricsEndpoints"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["portNumber"].as_u64().unwrap())
        .collect();
    assert_eq!(ports, [8081, 9090]);
    assert_eq!(monitor["metadata"]["labels"]["release"], "p");
    assert!(pods.all("ServiceMonitor").is_empty());

    let values = "{env: {relay: a=b}, metrics: {service: {enabled: true}, serviceMonitor: {enabled: true}}}";
    let services = chart.render(values).unwrap();
    let found = services.all("Service").into_iter().filter(|service| {
        let wanted = services.only("ServiceMonitor").unwrap()["spec"]["selector"]["matchLabels"].as_object().unwrap();
        wanted.iter().all(|(key, value)| service["metadata"]["labels"][key] == *value)
    });
    let found: Vec<_> = found.map(|service| service["metadata"]["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(found, ["my-lb-ilb-metrics"], "the clients' Service would be scraped as well");
    assert!(services.all("PodMonitor").is_empty());
}

#[test]
#[ignore = "needs the testbed: make test"]
fn ilb_answers_to_the_name_of_the_metrics_service() {
    let chart = Chart::new().unwrap();
    let hosts = |values| -> Vec<Value> {
        let rendered = chart.render(values).unwrap();
        let variables = rendered.container("ilb").unwrap()["env"].as_array().unwrap().clone();
        variables.into_iter().filter(|variable| variable["name"] == "ILB_ADMIN_HOSTS").collect()
    };
    assert_eq!(hosts("{env: {relay: a=b}}"), [] as [Value; 0]);
    let found = hosts("{env: {relay: a=b}, namespaceOverride: lb, metrics: {service: {enabled: true}}}");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["value"], "my-lb-ilb-metrics.lb");
    let found = hosts(
        "{env: {relay: a=b}, metrics: {service: {enabled: true}}, \
         ilb: {extraEnv: [{name: ILB_ADMIN_HOSTS, value: k8s.example}]}}",
    );
    assert_eq!(found.len(), 1, "a variable that is set twice is an error of server-side apply");
    assert_eq!(found[0]["value"], "k8s.example");
}

#[test]
#[ignore = "needs the testbed: make test"]
fn nothing_needs_the_prometheus_operator_unless_asked_for() {
    let rendered = Chart::new().unwrap().render("{env: {relay: a=b}, metrics: {enabled: 'false'}}").unwrap();
    assert!(!rendered.text.contains("monitoring.coreos.com"));
}

#[test]
#[ignore = "needs the testbed: make test"]
fn each_alert_asks_for_this_release_and_for_metrics_that_exist_and_has_a_runbook() {
    let chart = Chart::new().unwrap();
    let values =
        "{env: {relay: a=b}, metrics: {prometheusRule: {enabled: true, runbookUrl: 'https://r.example/runbooks'}}}";
    let rendered = chart.render(values).unwrap();
    let runbooks = chart.file("runbooks.md").unwrap();
    let rules = rendered.only("PrometheusRule").unwrap()["spec"]["groups"][0]["rules"].as_array().unwrap().clone();
    assert!(rules.len() >= 6);
    let mut names = BTreeSet::new();
    for rule in &rules {
        let name = rule["alert"].as_str().unwrap();
        names.insert(name.to_owned());
        let query = rule["expr"].as_str().unwrap();
        assert!(unknown_metrics(&chart, query).is_empty(), "{name}: {:?}", unknown_metrics(&chart, query));
        assert_eq!(
            query.matches(r#"{namespace="apps",pod=~"my-lb-ilb-.+""#).count(),
            query.matches('{').count(),
            "{query}"
        );
        let url = rule["annotations"]["runbook_url"].as_str().unwrap();
        assert_eq!(url, format!("https://r.example/runbooks#{}", name.to_lowercase()));
        assert!(["critical", "warning", "info"].contains(&rule["labels"]["severity"].as_str().unwrap()), "{name}");
    }
    let written: BTreeSet<_> =
        runbooks.lines().filter_map(|line| line.strip_prefix("## ")).map(str::to_owned).collect();
    assert_eq!(written, names, "chart/runbooks.md has a heading for each alert and for nothing else");
}

#[test]
#[ignore = "needs the testbed: make test"]
fn each_alert_links_to_the_runbooks_of_the_project_unless_others_or_none_are_wanted() {
    let chart = Chart::new().unwrap();
    let home = serde_saphyr::from_str::<Value>(&chart.file("Chart.yaml").unwrap()).unwrap()["home"].clone();
    let page = format!("{}/blob/main/chart/runbooks.md#", home.as_str().unwrap());
    let links = |values: &str| -> Vec<Value> {
        let values = format!("{{env: {{relay: a=b}}, metrics: {{prometheusRule: {{enabled: true{values}}}}}}}");
        let rules =
            chart.render(&values).unwrap().only("PrometheusRule").unwrap()["spec"]["groups"][0]["rules"].clone();
        rules.as_array().unwrap().iter().map(|rule| rule["annotations"]["runbook_url"].clone()).collect()
    };
    let default = links("");
    assert!(default.iter().all(|link| link.as_str().is_some_and(|link| link.starts_with(&page))), "{default:?}");
    assert!(links(", runbookUrl: ''").iter().all(Value::is_null));
}

#[test]
#[ignore = "needs the testbed: make test"]
fn thresholds_of_alerts_are_values() {
    let chart = Chart::new().unwrap();
    let rules = |rule: &str| {
        let values = format!("{{env: {{relay: a=b}}, metrics: {{prometheusRule: {{enabled: true, {rule}}}}}}}");
        chart.render(&values).unwrap().only("PrometheusRule").unwrap()["spec"]["groups"][0]["rules"].clone()
    };
    let named =
        |rules: &Value, name: &str| rules.as_array().unwrap().iter().find(|rule| rule["alert"] == name).cloned();
    let default = rules("");
    assert!(!default.to_string().contains("THRESHOLD"), "{default}");
    for (alert, threshold, changed, part) in [
        ("IlbDiscoveryStale", "discoveryStaleSeconds: 1000000", "> 1000000", "> 120"),
        ("IlbPushesFail", "failedPushes: 7", "> 7", "> 3"),
        ("IlbTraefikRestarts", "traefikRestarts: 7", "> 7", "> 2"),
        ("IlbImbalance", "imbalanceRatio: 0.125", "> 0.125 and", "> 0.5 and"),
        ("IlbImbalance", "imbalanceConnections: 7", "> 7", "> 100"),
    ] {
        let query = |rules: &Value| named(rules, alert).unwrap()["expr"].as_str().unwrap().to_owned();
        assert!(query(&default).contains(part), "{}", query(&default));
        let query = query(&rules(&format!("thresholds: {{{threshold}}}")));
        assert!(query.contains(changed) && unknown_metrics(&chart, &query).is_empty(), "{query}");
    }
    let changed = rules("alerts: {IlbImbalance: {enabled: false}, IlbNoBackends: {for: 10m, severity: warning}}");
    assert!(named(&changed, "IlbImbalance").is_none());
    let rule = named(&changed, "IlbNoBackends").unwrap();
    assert_eq!((&rule["for"], &rule["labels"]["severity"]), (&"10m".into(), &"warning".into()));
    assert!(rule["annotations"]["description"].as_str().unwrap().starts_with("For 10m, "), "{rule}");
    assert!(!changed.to_string().contains("HOLD"), "{changed}");
    let unknown = "{env: {relay: a=b}, metrics: {prometheusRule: {enabled: true, alerts: {IlbNoBackend: {for: 1m}}}}}";
    assert!(chart.refusal(unknown).unwrap().contains("there is no alert IlbNoBackend"));
}

#[test]
#[ignore = "needs the testbed: make test"]
fn backends_that_are_left_out_have_alerts_and_a_place_on_the_dashboard() {
    let chart = Chart::new().unwrap();
    let rendered = chart.render("{env: {relay: a=b}, metrics: {prometheusRule: {enabled: true}}}").unwrap();
    let rules = rendered.only("PrometheusRule").unwrap()["spec"]["groups"][0]["rules"].as_array().unwrap().clone();
    let dashboard = dashboard(&chart);
    for (state, alert) in [("suspect", "IlbBackendsSuspect"), ("failing", "IlbBackendsFailing")] {
        let rule = rules.iter().find(|rule| rule["alert"] == alert).unwrap();
        let selector = format!(r#"state="{state}""#);
        let query = rule["expr"].as_str().unwrap();
        assert!(query.contains("ilb_pool_backends{") && query.contains(&selector) && query.ends_with("> 0"), "{query}");
        assert_eq!((&rule["labels"]["severity"], &rule["for"]), (&"warning".into(), &"5m".into()), "{alert}");
        let is_shown = |query: &String| query.contains("ilb_pool_backends{") && query.contains(&selector);
        assert!(queries(&dashboard).iter().any(is_shown), "no panel shows {state} backends");
    }
}

#[test]
#[ignore = "needs the testbed: make test"]
fn a_pause_of_closing_and_a_refusal_of_the_closer_are_alerts_and_on_the_dashboard() {
    let chart = Chart::new().unwrap();
    let rendered = chart.render("{env: {relay: a=b}, metrics: {prometheusRule: {enabled: true}}}").unwrap();
    let rules = rendered.only("PrometheusRule").unwrap()["spec"]["groups"][0]["rules"].as_array().unwrap().clone();
    let rule = |name: &str| rules.iter().find(|rule| rule["alert"] == name).unwrap();
    let (paused, refuses) = (rule("IlbClosingPaused"), rule("IlbCloserRefuses"));
    let query = paused["expr"].as_str().unwrap();
    assert!(query.contains("ilb_closing_state{") && query.ends_with(r#"state="paused"} == 1"#), "{query}");
    assert_eq!((&paused["labels"]["severity"], &paused["for"]), (&"warning".into(), &"2m".into()));
    let query = refuses["expr"].as_str().unwrap();
    assert!(query.contains("increase(ilb_closer_refused_total{") && query.ends_with("[15m])) > 0"), "{query}");
    assert_eq!(refuses["labels"]["severity"], "warning");
    let unavailable = rule("IlbCloserUnavailable");
    assert!(unavailable["expr"].as_str().unwrap().starts_with("ilb_closer_up{"), "{unavailable}");
    assert_eq!((&unavailable["labels"]["severity"], &unavailable["for"]), (&"warning".into(), &"5m".into()));
    let dashboard = dashboard(&chart);
    for metric in [
        "ilb_closings_total",
        "ilb_closing_state",
        "ilb_closing_away",
        "ilb_closing_candidates",
        "ilb_closer_up",
        "ilb_closer_refused_total",
    ] {
        assert!(
            queries(&dashboard).iter().any(|query| query.contains(&format!("{metric}{{"))),
            "no panel shows {metric}"
        );
    }
}

#[test]
#[ignore = "needs the testbed: make test"]
fn a_single_lost_line_of_the_log_is_an_alert() {
    let rendered =
        Chart::new().unwrap().render("{env: {relay: a=b}, metrics: {prometheusRule: {enabled: true}}}").unwrap();
    let rules = rendered.only("PrometheusRule").unwrap()["spec"]["groups"][0]["rules"].as_array().unwrap().clone();
    let rule = rules.iter().find(|rule| rule["alert"] == "IlbLogLinesDropped").unwrap();
    let query = rule["expr"].as_str().unwrap();
    assert!(query.starts_with("increase(ilb_log_lines_dropped_total{") && query.ends_with("[15m]) > 0"), "{query}");
    assert_eq!(rule["labels"]["severity"], "warning");
    assert!(rule["for"].is_null(), "the counter stands still again when the reader keeps up");
}

#[test]
#[ignore = "needs the testbed: make test"]
fn the_dashboard_asks_for_metrics_that_exist() {
    let chart = Chart::new().unwrap();
    let dashboard = dashboard(&chart);
    let panels = dashboard["panels"].as_array().unwrap();
    let queries = queries(&dashboard);
    assert!(queries.len() >= 10, "{}", queries.len());
    for query in queries {
        let query = query.replace("$__rate_interval", "5m");
        assert!(unknown_metrics(&chart, &query).is_empty(), "{query}: {:?}", unknown_metrics(&chart, &query));
        assert!(query.contains(r#"namespace="$namespace""#), "{query}");
    }
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "two panels with the id {}", panel["id"]);
        let place = &panel["gridPos"];
        assert!(place["x"].as_u64().unwrap() + place["w"].as_u64().unwrap() <= 24, "{panel}");
        assert!(panel["type"] == "row" || !panel["description"].as_str().unwrap_or_default().is_empty(), "{panel}");
    }
}

#[test]
#[ignore = "needs the testbed: make test"]
fn the_example_for_keda_asks_for_metrics_that_exist_in_this_release() {
    let chart = Chart::new().unwrap();
    let example = chart.file("examples/keda-values.yaml").unwrap();
    let rendered = chart.render(&format!("{example}\nenv: {{relay: app=my-app}}\n")).unwrap();
    let scaled = &rendered.only("ScaledObject").unwrap()["spec"];
    assert_eq!(scaled["scaleTargetRef"]["name"], rendered.only("Deployment").unwrap()["metadata"]["name"]);
    let query = scaled["triggers"][0]["metadata"]["query"].as_str().unwrap();
    assert!(unknown_metrics(&chart, query).is_empty(), "{query}");
    assert!(query.contains(r#"{namespace="apps",pod=~"my-lb-ilb-.+""#), "{query}");
}

#[test]
#[ignore = "needs the testbed: make test"]
fn the_useful_queries_ask_for_metrics_that_exist() {
    let chart = Chart::new().unwrap();
    let document = chart.file("../docs/queries.md").unwrap();
    let blocks = document.split("```promql\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let queries: Vec<_> = blocks.flat_map(|block| block.split("\n\n")).collect();
    assert!(queries.len() >= 15, "{}", queries.len());
    for query in queries {
        // Traefik's metrics are not ilb's.
        let unknown: Vec<_> =
            unknown_metrics(&chart, query).into_iter().filter(|metric| !metric.starts_with("traefik_")).collect();
        assert!(unknown.is_empty(), "{query}: {unknown:?}");
    }
}

#[test]
fn a_wrong_query_is_noticed() {
    let metrics = BTreeSet::from(["ilb_known".to_owned()]);
    assert_eq!(missing("rate(ilb_known{a=\"b\"}[5m]) / sum(ilb_knwon)", &metrics), ["ilb_knwon"]);
    assert_eq!(missing("sum(ilb_known", &metrics).len(), 1, "no query at all");
}

/// Returns the dashboard that the chart installs.
fn dashboard(chart: &Chart) -> Value {
    let rendered = chart.render("{env: {relay: a=b}, metrics: {dashboard: {enabled: true}}}").unwrap();
    let maps = rendered.all("ConfigMap");
    serde_json::from_str(maps.iter().find_map(|map| map["data"]["apps-my-lb-ilb.json"].as_str()).unwrap()).unwrap()
}

#[test]
#[ignore = "needs the testbed: make test"]
fn the_dashboards_of_two_releases_do_not_replace_each_other() {
    let chart = Chart::new().unwrap();
    let names = |values: &str| {
        let values = format!("{{env: {{relay: a=b}}, metrics: {{dashboard: {{enabled: true}}}}{values}}}");
        let rendered = chart.render(&values).unwrap();
        let maps = rendered.all("ConfigMap");
        let data = maps.iter().map(|map| map["data"].as_object().unwrap());
        let (file, text) =
            data.flatten().find(|(_, text)| text.as_str().is_some_and(|text| text.starts_with('{'))).unwrap();
        let dashboard: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
        assert!(dashboard["uid"].as_str().unwrap().len() <= 40, "Grafana's limit");
        [file.clone(), dashboard["uid"].to_string(), dashboard["title"].to_string()]
    };
    let (one, other, elsewhere) = (names(""), names(", fullnameOverride: other"), names(", namespaceOverride: other"));
    for at in 0..3 {
        assert!(one[at] != other[at] && one[at] != elsewhere[at], "{one:?} {other:?} {elsewhere:?}");
    }
    assert_eq!(names(""), one, "an upgrade keeps them");
}

#[test]
#[ignore = "needs the testbed: make test"]
fn kubernetes_events_have_a_right_and_a_pod_only_when_they_are_switched_on() {
    let chart = Chart::new().unwrap();
    let rights = |values: &str| {
        let rendered = chart.render(values).unwrap();
        let rules =
            rendered.all("Role").into_iter().flat_map(|role| role["rules"].as_array().cloned().unwrap_or_default());
        let creates = rules.filter(|rule| rule["verbs"] == serde_json::json!(["create"])).collect::<Vec<_>>();
        let text = rendered.container("ilb").unwrap().to_string();
        (creates, text.contains("ILB_KUBERNETES_EVENTS"), text.contains("ILB_POD_UID"), text.contains("spec.nodeName"))
    };
    assert_eq!(rights("{env: {relay: a=b}}"), (Vec::new(), false, false, true));
    let (creates, is_on, has_uid, _) = rights("{env: {relay: a=b}, kubernetesEvents: {enabled: true}}");
    let right = serde_json::json!({"apiGroups": [""], "resources": ["events"], "verbs": ["create"]});
    assert_eq!((creates, is_on, has_uid), (vec![right], true, true));
}

#[test]
#[ignore = "needs the testbed: make test"]
fn connections_are_logged_only_when_that_is_switched_on() {
    let chart = Chart::new().unwrap();
    let settings = |values: &str| {
        let container = chart.render(values).unwrap().container("ilb").unwrap().clone();
        let variables = container["env"].as_array().unwrap().iter();
        let own = variables.filter(|variable| variable["name"].as_str().unwrap().starts_with("ILB_CONNECTION_LOG"));
        own.map(|variable| variable["value"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(settings("{env: {relay: a=b}, connectionLog: {maxRate: 7}}"), [""; 0]);
    assert_eq!(settings("{env: {relay: a=b}, connectionLog: null}"), [""; 0]);
    assert_eq!(settings("{env: {relay: a=b}, connectionLog: {enabled: true}}"), ["true"]);
    assert_eq!(settings("{env: {relay: a=b}, connectionLog: {enabled: true, maxRate: 7}}"), ["true", "7"]);
}

/// Returns the queries of all panels.
fn queries(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}

/// Returns the metrics of a query that `docs/metrics.md`, which is generated from the code, does not have.
fn unknown_metrics(chart: &Chart, query: &str) -> Vec<String> {
    let document = chart.file("../docs/metrics.md").unwrap();
    let mut known = BTreeSet::new();
    for line in document.lines().filter_map(|line| line.strip_prefix("| `")) {
        let (name, rest) = line.split_once('`').unwrap();
        let kind = rest.trim_start_matches(" | ").split(' ').next().unwrap();
        match kind {
            "histogram" => known.extend(["_bucket", "_sum", "_count"].map(|suffix| format!("{name}{suffix}"))),
            _ => _ = known.insert(name.to_owned()),
        }
    }
    missing(query, &known)
}

fn missing(query: &str, known: &BTreeSet<String>) -> Vec<String> {
    match parser::parse(query) {
        Err(error) => vec![error],
        Ok(expr) => metrics(&expr).into_iter().filter(|metric| !known.contains(metric)).collect(),
    }
}

fn metrics(expr: &Expr) -> Vec<String> {
    let both = |a: &Expr, b: &Expr| [metrics(a), metrics(b)].concat();
    match expr {
        Expr::Aggregate(it) => metrics(&it.expr),
        Expr::Unary(it) => metrics(&it.expr),
        Expr::Binary(it) => both(&it.lhs, &it.rhs),
        Expr::Paren(it) => metrics(&it.expr),
        Expr::Subquery(it) => metrics(&it.expr),
        Expr::VectorSelector(it) => it.name.clone().into_iter().collect(),
        Expr::MatrixSelector(it) => it.vs.name.clone().into_iter().collect(),
        Expr::Call(it) => it.args.args.iter().flat_map(|arg| metrics(arg)).collect(),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => Vec::new(),
    }
}
