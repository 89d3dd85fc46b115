//! Closing connections on purpose is refused where it cannot work, before anything is created.

/// Values, and a part of the message that refuses them.
pub(crate) const REFUSED_FOR_THE_CLOSER: &[(&str, &str)] = &[
    (
        "{env: {relay: a=b}, closing: {enabled: true}}",
        "closing.enabled needs to know the networks of the backends, because the closer closes no connection to another address",
    ),
    (
        "{pools: [{selector: a=b, closing: {maxAge: 1h}}], closing: {enabled: true}}",
        "or allowedNetworks in the pool default",
    ),
    (
        "{env: {relay: a=b}, closing: {networks: [10.0.0.1]}}",
        r#"closing.networks: "10.0.0.1" is not a network: write such as 10.0.0.0/8"#,
    ),
    (
        "{env: {relay: a=b}, closing: {enabled: true, networks: ['::/0']}}",
        "the network ::/0 is every address, and the closer could close ilb's connection to the API server",
    ),
    (
        "{env: {relay: a=b, backendPort: amqp, closing: {maxAge: 1h}}, closing: {enabled: true, networks: [10.0.0.0/8]}}",
        "the pool default has them by name or in a file: give a number as backendPort, or all ports in closing.ports",
    ),
    (
        "{pools: [{name: x, port: 4000, file: /b.yaml, closing: {maxAge: 1h}}], closing: {enabled: true, networks: [10.0.0.0/8]}}",
        "the pool x has them by name or in a file",
    ),
    (
        "{env: {relay: a=b, backendPort: amqp}, closing: {enabled: true, networks: [10.0.0.0/8]}}",
        "because the closer closes no connection to another port: set closing.ports",
    ),
    (
        "{env: {relay: a=b}, podSecurityContext: {runAsUser: null}, closing: {enabled: true, networks: [10.0.0.0/8]}}",
        "closing.enabled needs to know the user of ilb, whose orders the closer follows: set podSecurityContext.runAsUser",
    ),
    (
        "{env: {relay: a=b}, hostNetwork: true, closing: {enabled: true, networks: [10.0.0.0/8]}}",
        "hostNetwork cannot be set",
    ),
    (
        "{env: {relay: a=b, closing: {rebalance: {maxRate: 201}}}, closing: {enabled: true, networks: [10.0.0.0/8]}}",
        "pool default: closing.rebalance.maxRate=201 is above the limit of the closer, closing.maxRate=200",
    ),
    (
        "{pools: [{selector: a=b, closing: {maxAge: 1h, ageMaxRate: 6}}], closing: {enabled: true, networks: [10.0.0.0/8], maxRate: 5}}",
        "pool default: closing.ageMaxRate=6 is above the limit of the closer, closing.maxRate=5",
    ),
    (
        "{pools: [{selector: a=b, closing: {onSelectorLeft: close}}], closing: {enabled: true, networks: [10.0.0.0/8], maxRate: 199}}",
        "pool default: onSelectorLeft=close and drain may have to close 200 connections a second, and closing.maxRate=199 is less",
    ),
    (
        "{env: {relay: a=b, lbMethod: roundrobin, closing: {rebalance: {enabled: true}}}}",
        "pool default: the method roundrobin does not fit the rules under closing",
    ),
    (
        "{env: {relay: a=b, updateinterval: 5s, closing: {rebalance: {enabled: true}}}}",
        "pool default: updateInterval=5s is too long for the rules under closing",
    ),
    (
        "{pools: [{selector: a=b, updateInterval: 4s1ms, closing: {maxAge: 1h}}]}",
        "stale: give at most 4s, or switch the rules off",
    ),
    (
        "{pools: [{selector: a=b, updateInterval: 0.1m, closing: {drain: {enabled: true}}}]}",
        "pool default: updateInterval=0.1m is too long",
    ),
    (
        "{env: {relay: a=b, closing: {maxAge: 1h}}, ilb: {extraEnv: [{name: ILB_TRAEFIK_DNS, value: 'http://x'}]}}",
        "pool default: the rules under closing do not fit several Traefiks (ilb.extraEnv has ILB_TRAEFIK_DNS)",
    ),
    (
        "{pools: [{selector: a=b, closing: {drain: {enabled: true}}}], ilb: {extraEnv: [{name: ILB_TRAEFIK_URLS, value: 'http://a,http://b'}]}}",
        "pool default: the rules under closing do not fit several Traefiks (ilb.extraEnv has ILB_TRAEFIK_URLS)",
    ),
    (
        "{pools: [{service: x, closing: {onSelectorLeft: close}}]}",
        "pool default: closing.onSelectorLeft=close does not fit a service or a file",
    ),
    (
        "{pools: [{selector: a=b, watch: false, closing: {onSelectorLeft: close}}]}",
        "pool default: closing.onSelectorLeft=close needs a watch",
    ),
    (
        "{env: {relay: a=b, closing: {waitForSuccessor: 1s}}}",
        "pool default: closing.waitForSuccessor has no effect without onSelectorLeft=close",
    ),
    ("{env: {relay: a=b, closing: {ageGrace: 1h}}}", "pool default: closing.ageGrace has no effect without maxAge"),
    (
        "{env: {relay: a=b, closing: {only: 22:00-05:00}}}",
        "pool default: closing.only has no effect without rebalance.enabled",
    ),
    (
        "{env: {relay: a=b, closing: {rebalance: {startAbove: 5%}}}}",
        "pool default: closing.rebalance.stopAt=5% has to be less than startAbove=5%",
    ),
    ("{env: {closing: {maxAge: 1h}}, pools: [{selector: a=b}]}", "env.closing is for the single pool of env.relay"),
    (
        "{env: {relay: a=b}, extraContainers: [{name: closer, image: x}]}",
        r#"another container of the pod has the name "closer""#,
    ),
    ("{env: {relay: a=b}, volumes: [{name: closer, emptyDir: {}}]}", r#"the pod already has a volume "closer""#),
    (
        "{env: {relay: a=b}, volumes: [{name: x, emptyDir: {}}], ilb: {extraVolumeMounts: [{name: x, mountPath: /run/ilb}]}}",
        "two volumes would be mounted at /run/ilb",
    ),
    (
        "{env: {relay: a=b}, closing: {enabled: true, networks: [10.0.0.0/8]}, ilb: {extraEnv: [{name: ILB_CLOSER_SOCKET, value: x}]}}",
        "the chart sets ILB_CLOSER_SOCKET itself",
    ),
    (
        "{env: {relay: a=b}, closing: {resources: {requests: {memory: 1Gi}}}}",
        "closing.resources: the request of memory, 1Gi, is above its limit, 64Mi",
    ),
];
