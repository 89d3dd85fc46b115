//! Which values replace the pods when they change, and so end sessions: what the comments say is what Helm renders.

use std::collections::BTreeSet;

use ilb_testbed::Chart;
use serde_json::{Value, json};

use crate::values::{at, leaves, remove, yaml};

/// Marks the comment of a value whose change replaces the pods.
const MARK: char = '↻';

/// Values that an example cannot do without, each before and after a change.
const CHANGES: [(&str, &str, &str); 16] = [
    ("env.relay", "{env: {relay: a=b}}", "{env: {relay: a=c}}"),
    ("pools", "{pools: [{selector: a=b}]}", "{pools: [{selector: a=b, port: 4444}]}"),
    ("volumes", "{env: {relay: a=b}}", "{env: {relay: a=b}, volumes: [{name: c, emptyDir: {}}]}"),
    ("dnsConfig", "{env: {relay: a=b}}", "{env: {relay: a=b}, dnsConfig: {searches: [example]}}"),
    ("metrics.service.enabled", "{env: {relay: a=b}}", "{env: {relay: a=b}, metrics: {service: {enabled: true}}}"),
    (
        "serviceAccount.create",
        "{env: {relay: a=b}, rbac: {create: false}}",
        "{env: {relay: a=b}, rbac: {create: false}, serviceAccount: {create: false}}",
    ),
    (
        "closing.networks",
        "{env: {relay: a=b}, closing: {enabled: true, networks: [10.0.0.0/8]}}",
        "{env: {relay: a=b}, closing: {enabled: true, networks: [10.1.0.0/16]}}",
    ),
    (
        "closing.ports",
        "{env: {relay: a=b}, closing: {enabled: true, networks: [10.0.0.0/8]}}",
        "{env: {relay: a=b}, closing: {enabled: true, networks: [10.0.0.0/8], ports: [5432]}}",
    ),
    (
        "env.backendPort",
        "{env: {relay: a=b, backendPort: 5432}, closing: {enabled: true, networks: [10.0.0.0/8]}}",
        "{env: {relay: a=b, backendPort: 5433}, closing: {enabled: true, networks: [10.0.0.0/8]}}",
    ),
    (
        "env.logLevel",
        "{env: {relay: a=b}, closing: {enabled: true, networks: [10.0.0.0/8]}}",
        "{env: {relay: a=b, logLevel: debug}, closing: {enabled: true, networks: [10.0.0.0/8]}}",
    ),
    ("closing.checkNamespace", "{env: {relay: a=b}}", "{env: {relay: a=b}, closing: {checkNamespace: false}}"),
    ("updateStrategy", "{env: {relay: a=b}}", "{env: {relay: a=b}, updateStrategy: {type: Recreate}}"),
    ("service.type", "{env: {relay: a=b}}", "{env: {relay: a=b}, service: {type: LoadBalancer}}"),
    (
        "service.externalTrafficPolicy",
        "{env: {relay: a=b}, service: {type: LoadBalancer}}",
        "{env: {relay: a=b}, service: {type: LoadBalancer, externalTrafficPolicy: Local}}",
    ),
    ("service.sessionAffinity", "{env: {relay: a=b}}", "{env: {relay: a=b}, service: {sessionAffinity: ClientIP}}"),
    ("service.nodePortRange", "{env: {relay: a=b}}", "{env: {relay: a=b}, service: {nodePortRange: 1000-2000}}"),
];

/// Values that have no other value with pods.
const WITHOUT_PODS: [&str; 3] = ["enabled", "hostNetwork", "image.tag_traefik"];

#[test]
#[ignore = "needs the testbed: make test"]
fn a_value_is_marked_if_and_only_if_its_change_replaces_the_pods() {
    let chart = Chart::new().unwrap();
    let text = chart.file("values.yaml").unwrap();
    let declared = leaves(&yaml(&text));
    let (mut replacing, mut known) = (BTreeSet::new(), BTreeSet::new());
    for (_, example) in chart.features().unwrap() {
        let before = pods(&chart, &example).unwrap();
        for path in &declared {
            let mut without = yaml(&example);
            if at(&without, path).is_none() {
                continue;
            }
            remove(&mut without, path);
            let Ok(after) = pods(&chart, &without.to_string()) else { continue };
            known.insert(path.join("."));
            if after != before {
                replacing.insert(path.join("."));
            }
        }
    }
    for (value, before, after) in CHANGES {
        known.insert(value.to_owned());
        if pods(&chart, before).unwrap() != pods(&chart, after).unwrap() {
            replacing.insert(value.to_owned());
        }
    }
    known.extend(WITHOUT_PODS.map(str::to_owned));
    let unknown: Vec<_> = declared.iter().map(|path| path.join(".")).filter(|path| !known.contains(path)).collect();
    assert!(unknown.is_empty(), "no change of these is rendered: {unknown:?}");
    let marked = marked(&text);
    let silent: Vec<_> = replacing.difference(&marked).collect();
    let wrong: Vec<_> = marked.difference(&replacing).collect();
    assert!(silent.is_empty(), "a change of these replaces the pods, and their comments do not say so: {silent:?}");
    assert!(wrong.is_empty(), "these are said to replace the pods, and do not: {wrong:?}");
}

#[test]
#[ignore = "needs the testbed: make test"]
fn a_pool_replaces_the_pods_by_its_ports_only() {
    let chart = Chart::new().unwrap();
    // Two pods cannot have the same port of a node, so a host port needs this strategy.
    let strategy = "updateStrategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 1}}";
    let pool =
        |more: &str| pods(&chart, &format!("{{{strategy}, pools: [{{name: a, selector: x=y, port: 5432, {more}}}]}}"));
    let before = pool("").unwrap();
    for stays in [
        "selector: x=z",
        "namespaces: [b]",
        "allNamespaces: true",
        "backendPort: 5432",
        "method: roundrobin",
        "servicePort: 5433",
        "nodePort: 30000",
        "appProtocol: redis",
        "closing: {maxAge: 12h}",
        "allowedNetworks: [10.0.0.0/8]",
    ] {
        let service = if stays.starts_with("nodePort") { "service: {type: NodePort}, " } else { "" };
        let values = format!("{{{service}pools: [{{name: a, selector: x=y, port: 5432, {stays}}}]}}");
        let values = if stays.starts_with("selector") { values.replace("selector: x=y, ", "") } else { values };
        assert_eq!(pods(&chart, &values).unwrap(), before, "{stays}");
    }
    for replaces in ["portName: db", "hostPort: 5432", "entryPoint: db"] {
        assert_ne!(pool(replaces).unwrap(), before, "{replaces}");
    }
    // The closer has limits of its own.
    let closing = |more: &str| {
        let networks = "closing: {enabled: true, networks: [10.0.0.0/8]}";
        pods(&chart, &format!("{{{networks}, pools: [{{name: a, selector: x=y, port: 5432, {more}}}]}}")).unwrap()
    };
    assert_ne!(closing(""), closing("backendPort: 5432"));
    assert_eq!(closing(""), closing("closing: {maxAge: 12h}"));
}

/// Changes of `env` and `log` are followed, as those of `pools` are; only a port of the pods is part of them.
#[test]
#[ignore = "needs the testbed: make test"]
fn the_only_pool_and_the_log_are_followed_without_new_pods() {
    let chart = Chart::new().unwrap();
    let values = |more: &str| pods(&chart, &format!("{{env: {{relay: a=b}}, {more}}}")).unwrap();
    let before = values("");
    for stays in [
        "env: {relay: a=c}",
        "env: {relay: {a: c, d: e}}",
        "env: {relay: a=b, backendPort: 5432}",
        "env: {relay: a=b, updateinterval: 5s, useWatch: false, lbMethod: roundrobin}",
        "env: {relay: a=b, logLevel: debug, logFormat: text}",
        "env: {relay: a=b, closing: {maxAge: 12h}}",
    ] {
        assert_eq!(pods(&chart, &format!("{{{stays}}}")).unwrap(), before, "{stays}");
    }
    assert_eq!(values("log: {level: debug, format: text}"), before);
    assert_ne!(pods(&chart, "{env: {relay: a=b, portname: db}}").unwrap(), before);
    // The closer has a log and limits of its own.
    let closing = |more: &str| values(&format!("closing: {{enabled: true, networks: [10.0.0.0/8]}}, {more}"));
    assert_ne!(closing("log: {level: debug}"), closing(""));
}

/// Returns what makes the pods: another object, or another template in it, replaces them.
fn pods(chart: &Chart, values: &str) -> anyhow::Result<Value> {
    let rendered = chart.render(values)?;
    let Ok(workload) = rendered.workload() else { return Ok(Value::Null) };
    let metadata = &workload["metadata"];
    Ok(json!([workload["kind"], metadata["name"], metadata["namespace"], workload["spec"]["template"]]))
}

/// Returns the values whose comment begins with the mark.
fn marked(text: &str) -> BTreeSet<String> {
    let (mut path, mut is_marked, mut marked) = (Vec::new(), false, BTreeSet::new());
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        if let Some(comment) = line.trim_start().strip_prefix("# -- ") {
            is_marked = comment.starts_with(MARK);
        } else if let Some((key, _)) = line.trim_start().split_once(':').filter(|_| !line.trim_start().starts_with('#'))
        {
            path.truncate(indent / 2);
            path.push(key);
            if std::mem::take(&mut is_marked) {
                marked.insert(path.join("."));
            }
        }
    }
    marked
}
