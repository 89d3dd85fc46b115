//! Values that cannot work are refused with a sentence, and a typo never passes.

use ilb_testbed::Chart;

/// Values, and a part of the message that refuses them.
const COMBINATIONS: &[(&str, &str)] = &[
    ("{}", "which pods are the backends? Set env.relay to a label selector"),
    ("{env: {relay: a=b}, pools: [{selector: a=b}]}", "env.relay and pools both say which backends to use"),
    ("{env: {relay: my-app}}", r#""my-app" is only a name, and a selector needs a key and a value: write app=my-app"#),
    ("{env: {backendPort: 1}, pools: [{selector: a=b}]}", "env.backendPort is for the single pool of env.relay"),
    ("{env: {useWatch: false}, pools: [{selector: a=b}]}", "env.useWatch is for the single pool of env.relay"),
    ("{service: {port: 1}, pools: [{selector: a=b}]}", "give servicePort and nodePort in each pool"),
    (
        "{pools: [{selector: a=b, service: c}]}",
        "pools[0] (default): give exactly one of selector, service and file; it has 2",
    ),
    ("{pools: [{port: 4000}]}", "pools[0] (default): give exactly one of selector, service and file; it has 0"),
    ("{pools: [{selector: a=b, namespaces: [c], allNamespaces: true}]}", "give namespaces or allNamespaces, not both"),
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
        "{env: {relay: a=b}, traefik: {config: {entryPoints: {traefik: {address: ':1'}}}}}",
        "the entry points are those of the pools (tcp)",
    ),
    (
        "{env: {relay: a=b}, traefik: {config: {entryPoints: {tcp: {address: ':8080'}}}}}",
        "entryPoints.tcp.address cannot be set",
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
];

#[test]
#[ignore = "needs the testbed: make test"]
fn values_that_cannot_work_together_are_refused_with_a_sentence() {
    let chart = Chart::new().unwrap();
    for (values, sentence) in COMBINATIONS {
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
