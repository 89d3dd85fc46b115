//! Values that cannot work are refused with a sentence, and a typo never passes.

mod closing;
mod kubernetes;

use ilb_discovery::Selector;
use ilb_testbed::Chart;

/// Values, and a part of the message that refuses them.
const COMBINATIONS: &[(&str, &str)] = &[
    ("{}", "which pods are the backends? Set env.relay to a label selector"),
    ("{env: {relay: a=b}, pools: [{selector: a=b}]}", "env.relay and pools both say which backends to use"),
    ("{env: {relay: my-app}}", r#""my-app" is only a name, and a selector needs a key and a value: write app=my-app"#),
    ("{env: {backendPort: 1}, pools: [{selector: a=b}]}", "env.backendPort is for the single pool of env.relay"),
    ("{env: {useWatch: false}, pools: [{selector: a=b}]}", "env.useWatch is for the single pool of env.relay"),
    (
        "{service: {port: 1}, pools: [{selector: a=b}]}",
        "give servicePort, nodePort, hostPort and appProtocol in each pool",
    ),
    (
        "{pools: [{selector: a=b, service: c}]}",
        "pools[0] (default): give exactly one of selector, service and file; it has 2",
    ),
    ("{pools: [{port: 4000}]}", "pools[0] (default): give exactly one of selector, service and file; it has 0"),
    ("{pools: [{selector: a=b, namespaces: [c], allNamespaces: true}]}", "give namespaces or allNamespaces, not both"),
    ("{pools: [{selector: a=b}], zones: {fromNode: true}}", "zones.fromNode is for pools with zones: prefer"),
    ("{pools: [{service: a, namespaces: [b, c]}]}", "pools[0] (default): a Service is in one namespace"),
    ("{pools: [{service: a, allNamespaces: true}]}", "pools[0] (default): a Service is in one namespace"),
    ("{pools: [{selector: a=b, port: 4000}, {name: b, selector: a=b, port: 4001}]}", "pools[0] has no name"),
    ("{pools: [{name: a, selector: a=b}, {name: b, selector: a=b, port: 4001}]}", "pools[0] (a) has no port"),
    (
        "{pools: [{name: a, selector: a=b, port: 4000}, {name: b, selector: a=b, port: 4000}]}",
        "two pools have the port 4000",
    ),
    ("{pools: [{name: a, selector: a=b, port: 4000}, {name: a, selector: a=b, port: 4001}]}", "two pools have the"),
    (
        "{pools: [{name: a, selector: a=b, port: 4000, entryPoint: x}, {name: b, selector: a=b, port: 4001, entryPoint: x}]}",
        "two pools have the entryPoint x",
    ),
    (
        "{pools: [{selector: a=b, port: 8080}]}",
        "pool default cannot listen at port 8080: in the pod, 8080 is Traefik's write API",
    ),
    ("{pools: [{selector: a=b, port: 5432, servicePort: 8080}]}", "pool default cannot have the Service port 8080"),
    ("{env: {relay: a=b}, service: {port: 8080}}", "pool default cannot have the Service port 8080"),
    ("{env: {relay: a=b}, service: {port: 9090}}", "pool default cannot have the Service port 9090"),
    ("{env: {relay: a=b, portname: metrics}}", r#"pool default cannot have the port name "metrics""#),
    (
        "{pools: [{selector: a=b, port: 443}]}",
        "ports below 1024 need privileges. Give a port of 1024 or above, and servicePort: 443",
    ),
    ("{pools: [{selector: a=b, entryPoint: traefik}]}", r#"cannot use the entry point "traefik""#),
    ("{env: {relay: a=b}, hostNetwork: true}", "every process on the node could write Traefik's configuration"),
    ("{env: {relay: a=b}, traefik: {config: {providers: {}}}}", "traefik.config.providers cannot be set"),
    ("{env: {relay: a=b}, traefik: {config: {api: {}}}}", "traefik.config.api cannot be set"),
    (
        "{env: {relay: a=b}, backendLinks: [{name: a, url: 'https://a'}, {name: a, url: 'https://b'}]}",
        r#"two backendLinks have the name "a""#,
    ),
    (
        "{env: {relay: a=b}, traefik: {config: {entryPoints: {traefik: {address: ':1'}}}}}",
        "the entry points are those of the pools (tcp)",
    ),
    (
        "{env: {relay: a=b}, traefik: {config: {entryPoints: {tcp: {address: ':8080'}}}}}",
        "entryPoints.tcp.address cannot be set",
    ),
    (
        "{env: {relay: a=b}, traefik: {config: {entryPoints: {tcp: {transport: {lifeCycle: {graceTimeOut: 1h}}}}}}}",
        "entryPoints.tcp.transport.lifeCycle.graceTimeOut cannot be set, because the pod's termination grace period",
    ),
    (
        "{env: {relay: a=b}, traefik: {config: {entryPoints: {tcp: {transport: {lifeCycle: {requestAcceptGraceTimeout: 1m}}}}}}}",
        "set drain.delay",
    ),
    (
        "{env: {relay: a=b}, traefik: {config: {metrics: {prometheus: {entryPoint: tcp}}}}}",
        "traefik.config.metrics.prometheus.entryPoint cannot be set",
    ),
    (
        "{env: {relay: a=b}, podLabels: {app.kubernetes.io/name: x}}",
        "podLabels: app.kubernetes.io/name is one of the labels that select",
    ),
    ("{env: {relay: a=b}, image: {tag_traefik: x}}", "image.tag_traefik has no meaning any more"),
    ("{env: {relay: a=b, logLevel: debug}, log: {level: info}}", "log.level and env.logLevel contradict each other"),
    ("{env: {relay: a=b, logFormat: text}, log: {format: json}}", "log.format and env.logFormat contradict each other"),
    (
        "{env: {relay: a=b}, metrics: {enabled: true, service: {enabled: true}, serviceMonitor: {enabled: true}}}",
        "would both scrape every pod",
    ),
    ("{env: {relay: a=b}, metrics: {serviceMonitor: {enabled: true}}}", "set metrics.service.enabled=true too"),
    (
        "{env: {relay: a=b}, autoscaling: {enabled: true}, traefik: {resources: {requests: null}}}",
        "set traefik.resources.requests.cpu",
    ),
    (
        "{env: {relay: a=b}, autoscaling: {enabled: true, minReplicas: 9}}",
        "autoscaling.minReplicas is above autoscaling.maxReplicas",
    ),
    (
        "{env: {relay: a=b}, autoscaling: {enabled: true, targetCPUUtilizationPercentage: null}}",
        "autoscaling.enabled has nothing to scale by",
    ),
    ("{env: {relay: a=b}, serviceAccount: {create: false}}", r#"would go to the account "default""#),
];

/// Values, and parts of the schema's message: the place, and the value or what is accepted.
const MISTAKES: &[(&str, &[&str])] = &[
    ("{env: {rely: a=b}}", &["/env", "'rely' not allowed"]),
    ("{replicas: 3}", &["additional properties 'replicas' not allowed"]),
    ("{pools: [{selectr: a=b}]}", &["/pools/0", "'selectr' not allowed"]),
    ("{env: {relay: a=b, lbMethod: fastest}}", &["/env/lbMethod", "'leastconn', 'roundrobin'"]),
    ("{env: {relay: a=b, updateinterval: 5}}", &["/env/updateinterval", "string"]),
    ("{env: {relay: a=b, updateinterval: soon}}", &["/env/updateinterval", "soon"]),
    ("{env: {relay: a=b}, drain: {timeout: 300}}", &["/drain/timeout", "string"]),
    ("{env: {relay: a=b}, drain: {timeout: 5 minutes}}", &["/drain/timeout", "5 minutes"]),
    ("{env: {relay: a=b}, service: {type: ExternalName}}", &["/service/type", "'ClusterIP'"]),
    ("{env: {relay: a=b}, service: {port: 70000}}", &["/service/port", "65,535"]),
    ("{env: {relay: a=b}, image: {digest: latest}}", &["/image/digest", "latest"]),
    ("{env: {relay: a=b}, metrics: {enabled: sometimes}}", &["/metrics/enabled", "'true', 'false'"]),
    ("{env: {relay: a=b}, podLabels: {a: 1}}", &["/podLabels/a", "string"]),
    ("{pools: [{selector: a=b, namespaces: [1234]}]}", &["/pools/0/namespaces/0", "string"]),
    ("{env: {relay: a=b}, image: {tag: 1.10}}", &["/image/tag", "string"]),
    ("{env: {relay: a=b}, image: {tag: a b}}", &["/image/tag", "a b"]),
    (
        "{env: {relay: a=b}, autoscaling: {behavior: {scaleDown: {selectPolicy: Never}}}}",
        &["/selectPolicy", "'Disabled'"],
    ),
    ("{env: {relay: a=b}, tolerations: [{key: a, operator: Exist}]}", &["/tolerations/0/operator", "'Exists'"]),
    (
        "{env: {relay: a=b}, topologySpreadConstraints: [{maxSkew: 1}]}",
        &["/topologySpreadConstraints/0", "topologyKey"],
    ),
    ("{env: {relay: a=b}, podSecurityContext: {runAsUsr: 1}}", &["/podSecurityContext", "'runAsUsr' not allowed"]),
    ("{env: {relay: a=b}, podDisruptionBudget: {maxUnavailable: half}}", &["/podDisruptionBudget/maxUnavailable"]),
    ("{env: {relay: a=b}, metrics: {podMonitor: {interval: soon}}}", &["/metrics/podMonitor/interval", "soon"]),
    ("{env: {relay: a=b}, services: [{type: NodePort}]}", &["/services/0", "'name'"]),
    ("{pools: [{selector: a=b, closing: {rebalanc: {}}}]}", &["/pools/0/closing", "'rebalanc' not allowed"]),
    ("{env: {relay: a=b, closing: {rebalance: {startAbove: 20}}}}", &["/env/closing/rebalance/startAbove", "string"]),
    ("{env: {relay: a=b, closing: {onSelectorLeft: leave}}}", &["/env/closing/onSelectorLeft", "'close'"]),
    ("{env: {relay: a=b, closing: {only: 25:00-26:00}}}", &["/env/closing/only", "25:00-26:00"]),
    ("{env: {relay: a=b, closing: {rebalance: {rate: 0.25%}}}}", &["/env/closing/rebalance/rate", "0.25%"]),
    ("{env: {relay: a=b}, closing: {ports: [0]}}", &["/closing/ports/0"]),
    (
        "{env: {relay: a=b}, backendLinks: [{name: a, url: 'https://a/{name}'}]}",
        &["/backendLinks/0/url", "https://a/{name}"],
    ),
    ("{env: {relay: a=b}, backendLinks: [{name: a, url: 'ftp://a'}]}", &["/backendLinks/0/url", "ftp://a"]),
    ("{env: {relay: a=b}, backendLinks: [{name: '', url: 'https://a'}]}", &["/backendLinks/0/name"]),
    (
        "{env: {relay: a=b}, ilb: {livenessProbe: {terminationGracePeriodSeconds: 0}}}",
        &["/terminationGracePeriodSeconds"],
    ),
];

#[test]
#[ignore = "needs the testbed: make test"]
fn values_that_cannot_work_together_are_refused_with_a_sentence() {
    let chart = Chart::new().unwrap();
    for (values, sentence) in
        COMBINATIONS.iter().chain(kubernetes::REFUSED_BY_KUBERNETES).chain(closing::REFUSED_FOR_THE_CLOSER)
    {
        let refusal = chart.refusal(values).unwrap();
        assert!(refusal.contains(sentence), "{values}\n{refusal}");
    }
}

#[test]
#[ignore = "needs the testbed: make test"]
fn a_mistake_in_a_value_is_named_with_its_place() {
    let chart = Chart::new().unwrap();
    for (values, parts) in MISTAKES {
        let refusal = chart.refusal(values).unwrap();
        assert!(parts.iter().all(|part| refusal.contains(part)), "{values}\n{refusal}");
    }
}

/// A selector that the chart lets pass and ilb refuses would only be noticed in a pod that never starts.
#[test]
#[ignore = "needs the testbed: make test"]
fn the_chart_takes_the_selectors_that_ilb_takes() {
    let chart = Chart::new().unwrap();
    let long = format!("{}=a", "k".repeat(63));
    let too_long = format!("{}=a", "k".repeat(64));
    for selector in [
        "app=a",
        "app==a",
        "app!=a",
        "app =a , tier= b",
        "a in (b,c)",
        "a notin ( b , c )",
        "a,!b",
        "! a,b",
        "a=",
        "a in ()",
        "a.b/c-d_e=F.g",
        "a in (b,)",
        "x=1e3",
        "in=in",
        "notin",
        &long,
        "=x",
        "app=my app",
        "a,",
        ",a",
        "a=b,",
        "a in b",
        "a in (b",
        "a>1",
        "a<1",
        "-a=b",
        "a=-b",
        "a/b/c=d",
        "A/b=c",
        "a=b c=d",
        "!a=b",
        "a===b",
        "a in(b)",
        &too_long,
    ] {
        let taken = chart.render(&format!("pools: [{{selector: '{selector}'}}]"));
        let valid = selector.parse::<Selector>();
        assert_eq!(taken.is_ok(), valid.is_ok(), "{selector:?}: {valid:?}, {taken:?}");
    }
}

#[test]
#[ignore = "needs the testbed: make test"]
fn distribution_of_traffic_is_refused_where_kubernetes_does_not_know_it() {
    let chart = Chart::new().unwrap();
    let values = |distribution| format!("{{env: {{relay: a=b}}, service: {{trafficDistribution: {distribution}}}}}");
    for (distribution, older, newer) in [("PreferClose", "1.30.0", "1.31.0"), ("PreferSameNode", "1.33.0", "1.34.0")] {
        let refusal = chart.clone().on_kubernetes(older).refusal(&values(distribution)).unwrap();
        assert!(refusal.contains(&format!("service.trafficDistribution={distribution} needs Kubernetes")), "{refusal}");
        chart.clone().on_kubernetes(newer).render(&values(distribution)).unwrap();
    }
}

/// `null` removes a value, and so does `helm upgrade --reuse-values` to a chart that has new ones.
#[test]
#[ignore = "needs the testbed: make test"]
fn no_value_that_is_missing_leads_to_a_message_of_the_template_engine() {
    let chart = Chart::new().unwrap();
    let mut refused = 0;
    for path in paths(&serde_saphyr::from_str(&chart.file("values.yaml").unwrap()).unwrap()) {
        let mut values = "null".to_owned();
        for key in path.iter().rev() {
            values = format!("{{{key}: {values}}}");
        }
        let values = if path[0] == "env" && path.len() == 1 {
            values
        } else if path[0] == "env" {
            values.replacen("env: {", "env: {relay: a=b, ", 1)
        } else {
            values.replacen('{', "{env: {relay: a=b}, ", 1)
        };
        let Err(error) = chart.render(&values) else { continue };
        let error = format!("{error:#}");
        assert!(
            // The former is what `fail` gives.
            error.contains("execution error at") || error.contains("don't meet the specifications"),
            "{values}\n{error}"
        );
        refused += 1;
    }
    assert!(refused > 15, "{refused}");
}

/// Returns the paths of all values, of maps too.
fn paths(values: &serde_json::Value) -> Vec<Vec<String>> {
    let Some(map) = values.as_object() else { return Vec::new() };
    let mut all = Vec::new();
    for (key, value) in map {
        all.push(vec![key.clone()]);
        all.extend(paths(value).into_iter().map(|rest| [vec![key.clone()], rest].concat()));
    }
    all.retain(|path| path.join(".") != "env.relay");
    all
}
