//! What the API server (or the kubelet) would refuse is refused before anything is created.

/// Values, and a part of the message that refuses them.
pub(crate) const REFUSED_BY_KUBERNETES: &[(&str, &str)] = &[
    (
        "{env: {relay: a=b}, service: {externalTrafficPolicy: Local}}",
        "service.externalTrafficPolicy is for Services that are reached from outside the cluster",
    ),
    (
        "{env: {relay: a=b}, service: {nodePort: 30000}}",
        "service: a node port is for the types NodePort and LoadBalancer, and the type is ClusterIP",
    ),
    ("{pools: [{selector: a=b, nodePort: 30000}]}", "service: a node port is for the types NodePort and LoadBalancer"),
    (
        "{env: {relay: a=b}, service: {type: LoadBalancer, healthCheckNodePort: 31000}}",
        "service.healthCheckNodePort needs type=LoadBalancer and externalTrafficPolicy=Local",
    ),
    (
        "{env: {relay: a=b}, service: {type: NodePort, externalTrafficPolicy: Local, healthCheckNodePort: 31000}}",
        "service.healthCheckNodePort needs type=LoadBalancer",
    ),
    (
        "{env: {relay: a=b}, service: {loadBalancerClass: a/b}}",
        "service.loadBalancerClass is for the type LoadBalancer, and the type is ClusterIP",
    ),
    (
        "{env: {relay: a=b}, service: {type: NodePort, loadBalancerSourceRanges: [10.0.0.0/8]}}",
        "service.loadBalancerSourceRanges is for the type LoadBalancer",
    ),
    (
        "{env: {relay: a=b}, service: {loadBalancerIP: 192.0.2.1}}",
        "service.loadBalancerIP is for the type LoadBalancer",
    ),
    (
        "{env: {relay: a=b}, service: {allocateLoadBalancerNodePorts: true}}",
        "service.allocateLoadBalancerNodePorts is for the type LoadBalancer",
    ),
    (
        "{env: {relay: a=b}, service: {type: NodePort, nodePort: 80}}",
        "service: nodePort=80 is not in the range of node ports, 30000-32767",
    ),
    (
        "{env: {relay: a=b}, service: {type: LoadBalancer, externalTrafficPolicy: Local, healthCheckNodePort: 80}}",
        "service: healthCheckNodePort=80 is not in the range",
    ),
    (
        "{env: {relay: a=b}, service: {type: LoadBalancer, loadBalancerSourceRanges: [banana]}}",
        r#"service.loadBalancerSourceRanges: "banana" is not a network"#,
    ),
    (
        "{env: {relay: a=b}, service: {type: LoadBalancer, loadBalancerSourceRanges: [10.0.0.1]}}",
        r#""10.0.0.1" is not a network"#,
    ),
    (
        "{env: {relay: a=b}, service: {type: NodePort, clusterIP: None}}",
        "service.clusterIP=None makes a headless Service",
    ),
    ("{env: {relay: a=b}, service: {clusterIP: banana}}", r#"service: "banana" is not an IP address"#),
    (
        "{env: {relay: a=b}, service: {externalIPs: [127.0.0.1]}}",
        "service.externalIPs: 127.0.0.1 is not an address that a Service can have",
    ),
    (
        "{env: {relay: a=b}, service: {sessionAffinityConfig: {clientIP: {timeoutSeconds: 60}}}}",
        "service.sessionAffinityConfig needs sessionAffinity=ClientIP",
    ),
    (
        "{env: {relay: a=b}, service: {ipFamilies: [IPv4, IPv6]}}",
        "service.ipFamilies has two families: set ipFamilyPolicy",
    ),
    (
        "{env: {relay: a=b}, service: {ipFamilyPolicy: SingleStack, ipFamilies: [IPv4, IPv6]}}",
        "service.ipFamilies has two families: set ipFamilyPolicy",
    ),
    ("{env: {relay: a=b}, service: {ipFamilies: [IPv4, IPv4]}}", "service.ipFamilies has a family twice"),
    (
        "{env: {relay: a=b}, service: {clusterIP: 10.96.0.9, ipFamilies: [IPv6]}}",
        "service.clusterIP=10.96.0.9 is not an address of the first family",
    ),
    (
        "{pools: [{name: a, selector: a=b, port: 4000, nodePort: 30001}, {name: b, selector: a=b, port: 4001, nodePort: 30001}], service: {type: NodePort}}",
        "the node port 30001 is taken",
    ),
    (
        "{pools: [{name: a, selector: a=b, port: 4000, servicePort: 5000}, {name: b, selector: a=b, port: 4001, servicePort: 5000}]}",
        "service: two pools have the Service port 5000",
    ),
    (
        "{env: {relay: a=b}, services: [{name: metrics}]}",
        r#"services[0] (metrics): another Service of the release has the name "metrics""#,
    ),
    (
        "{env: {relay: a=b}, services: [{name: x, pools: [c]}]}",
        r#"services[0] (x): there is no pool "c" (there are default)"#,
    ),
    (
        "{env: {relay: a=b}, services: [{name: x, externalTrafficPolicy: Local}]}",
        "services[0] (x).externalTrafficPolicy is for Services",
    ),
    (
        "{env: {relay: a=b}, services: [{name: x, ports: {default: {port: 8080}}}]}",
        "services[0] (x): pool default cannot have the Service port 8080",
    ),
    (
        "{env: {relay: a=b}, fullnameOverride: a123456789012345678901234567890123456789, services: [{name: b123456789012345678901234567890}]}",
        "the Service would have a name of 72 characters",
    ),
    (
        "{pools: [{selector: a=b, namespaces: [Bad_Name]}]}",
        r#"pools[0] (default): "Bad_Name" cannot be the name of a namespace"#,
    ),
    (
        "{pools: [{selector: a=b, allowedNetworks: [banana]}]}",
        r#"pools[0] (default): "banana" in allowedNetworks is not a network"#,
    ),
    ("{pools: [{service: Bad_Name}]}", r#"pools[0] (default): "Bad_Name" cannot be the name of a Service"#),
    ("{env: {relay: '=x'}}", r#"env.relay: "=x" is not a label selector"#),
    ("{env: {relay: 'app=my app'}}", r#"env.relay: "app=my app" is not a label selector"#),
    ("{pools: [{selector: 'app in (a'}]}", r#"pools[0] (default): "app in (a" is not a label selector"#),
    ("{env: {relay: {app: true}}}", "env.relay.app: true is not text"),
    ("{env: {relay: {version: 1.10}}}", "env.relay.version: 1.1 is not text"),
    ("{env: {relay: a=b, backendPort: 0}}", "env.backendPort: 0 is not a port"),
    ("{env: {relay: a=b, backendPort: '70000'}}", "env.backendPort: 70000 is not a port"),
    ("{env: {relay: a=b, backendPort: AMQP}}", r#"env.backendPort: "AMQP" is neither a port nor the name of one"#),
    (
        "{pools: [{selector: a=b, backendPort: a_b}]}",
        r#"pools[0] (default): backendPort: "a_b" is neither a port nor the name of one"#,
    ),
    ("{pools: [{name: '123', selector: a=b}]}", r#"pool 123 cannot have the port name "123""#),
    ("{env: {relay: a=b, portname: a--b}}", r#"pool default cannot have the port name "a--b""#),
    ("{env: {relay: a=b}, fullnameOverride: '1234'}", r#""1234" cannot be the name of a Service"#),
    ("{env: {relay: a=b}, fullnameOverride: a.b}", r#""a.b" cannot be the name of a Service"#),
    (
        "{env: {relay: a=b}, fullnameOverride: a, nameOverride: my app}",
        r#"nameOverride: "my app" cannot be the value of a label"#,
    ),
    ("{env: {relay: a=b}, namespaceOverride: Apps}", r#""Apps" cannot be the name of a namespace"#),
    (
        "{env: {relay: a=b}, serviceAccount: {name: My_Account}}",
        r#"serviceAccount.name: "My_Account" cannot be a name"#,
    ),
    ("{env: {relay: a=b}, priorityClassName: High Class}", r#"priorityClassName: "High Class" cannot be a name"#),
    (
        "{env: {relay: a=b}, imagePullSecrets: [My_Secret]}",
        r#"imagePullSecrets: "My_Secret" cannot be the name of a Secret"#,
    ),
    (
        "{env: {relay: a=b}, commonLabels: {team: a team}}",
        r#"commonLabels.team: "a team" cannot be the value of a label"#,
    ),
    ("{env: {relay: a=b}, podLabels: {'a b': c}}", r#"podLabels: "a b" cannot be a key"#),
    ("{env: {relay: a=b}, service: {annotations: {'a b': c}}}", r#"service.annotations: "a b" cannot be a key"#),
    (
        "{env: {relay: a=b}, nodeSelector: {disk: big disk}}",
        r#"nodeSelector.disk: "big disk" cannot be the value of a label"#,
    ),
    (
        "{env: {relay: a=b}, ilb: {livenessProbe: {successThreshold: 2}}}",
        "ilb.livenessProbe.successThreshold has to be 1",
    ),
    (
        "{env: {relay: a=b}, traefik: {startupProbe: {successThreshold: 2}}}",
        "traefik.startupProbe.successThreshold has to be 1",
    ),
    (
        "{env: {relay: a=b}, ilb: {readinessProbe: {terminationGracePeriodSeconds: 5}}}",
        "ilb.readinessProbe cannot have terminationGracePeriodSeconds",
    ),
    (
        "{env: {relay: a=b}, traefik: {lifecycle: {preStop: {sleep: {seconds: 5}}}}}",
        "traefik.lifecycle.preStop would replace the wait of drain.delay",
    ),
    (
        "{env: {relay: a=b}, extraContainers: [{name: ilb, image: x}]}",
        r#"extraContainers[0]: another container of the pod has the name "ilb""#,
    ),
    ("{env: {relay: a=b}, extraContainers: [{name: x}]}", "extraContainers[0] (x) has no image"),
    ("{env: {relay: a=b}, extraInitContainers: [{image: x}]}", "extraInitContainers[0] needs a name"),
    (
        "{env: {relay: a=b}, ilb: {extraEnv: [{name: POD_LABELS, value: a=b}]}}",
        "ilb.extraEnv: POD_LABELS would take precedence over env.relay, which is followed without new pods: use that",
    ),
    (
        "{pools: [{selector: a=b}], ilb: {extraEnv: [{name: ILB_LOG_LEVEL, value: debug}]}}",
        "ilb.extraEnv: ILB_LOG_LEVEL would take precedence over log.level",
    ),
    (
        "{env: {relay: a=b}, ilb: {extraEnv: [{name: ILB_CONFIG, value: /a}]}}",
        "ilb.extraEnv: the chart sets ILB_CONFIG itself",
    ),
    (
        "{env: {relay: a=b}, traefik: {extraEnv: [{name: A, value: a}, {name: A, value: b}]}}",
        "traefik.extraEnv has A twice",
    ),
    (
        "{env: {relay: a=b}, traefik: {extraEnv: [{name: A, value: 1}]}}",
        "traefik.extraEnv: the value of A has to be text",
    ),
    ("{env: {relay: a=b}, traefik: {extraEnv: [{name: 'A=B', value: a}]}}", "traefik.extraEnv[0] needs a name"),
    (
        "{env: {relay: a=b}, volumes: [{name: token, emptyDir: {}}]}",
        r#"volumes[0]: the pod already has a volume "token""#,
    ),
    ("{env: {relay: a=b}, volumeMounts: [{name: v, mountPath: /v}]}", r#"there is no volume "v": add it to volumes"#),
    (
        "{env: {relay: a=b}, volumes: [{name: v, emptyDir: {}}], volumeMounts: [{name: v, mountPath: /etc/traefik}]}",
        "two volumes would be mounted at /etc/traefik",
    ),
    (
        "{env: {relay: a=b}, ilb: {resources: {requests: {memory: 128MB}}}}",
        "ilb.resources.requests.memory: 128MB is not a quantity",
    ),
    (
        "{env: {relay: a=b}, ilb: {resources: {requests: {memory: 1Gi}}}}",
        "ilb.resources: the request of memory, 1Gi, is above its limit, 256Mi",
    ),
    (
        "{env: {relay: a=b}, traefik: {resources: {requests: {cpu: 2}, limits: {cpu: 1500m}}}}",
        "traefik.resources: the request of cpu, 2, is above its limit, 1500m",
    ),
    ("{env: {relay: a=b}, podSecurityContext: {runAsUser: 0}}", "runAsUser=0 and runAsNonRoot contradict each other"),
    (
        "{env: {relay: a=b}, securityContext: {privileged: true}}",
        "securityContext: privileged and the capability SYS_ADMIN are refused",
    ),
    (
        "{env: {relay: a=b}, tolerations: [{key: a, operator: Exists, value: b}]}",
        "tolerations: operator=Exists tolerates any value",
    ),
    ("{env: {relay: a=b}, tolerations: [{effect: NoSchedule}]}", "tolerations: one without a key tolerates everything"),
    (
        "{env: {relay: a=b}, tolerations: [{key: a, value: b, effect: NoSchedule, tolerationSeconds: 5}]}",
        "tolerationSeconds is for effect=NoExecute only",
    ),
    (
        "{env: {relay: a=b}, topologySpreadConstraints: [{maxSkew: 1, topologyKey: z, whenUnsatisfiable: ScheduleAnyway}, {maxSkew: 2, topologyKey: z, whenUnsatisfiable: ScheduleAnyway}]}",
        "topologySpreadConstraints: two have the topologyKey z",
    ),
    (
        "{env: {relay: a=b}, topologySpreadConstraints: [{maxSkew: 1, topologyKey: z, whenUnsatisfiable: ScheduleAnyway, minDomains: 2}]}",
        "minDomains is for whenUnsatisfiable=DoNotSchedule only",
    ),
    ("{env: {relay: a=b}, updateStrategy: {rollingUpdate: {maxSurge: 0}}}", "maxSurge and maxUnavailable are both 0"),
    (
        "{env: {relay: a=b}, updateStrategy: {type: OnDelete}}",
        "updateStrategy.type=OnDelete is not one of a Deployment",
    ),
    (
        "{env: {relay: a=b}, kind: DaemonSet, updateStrategy: {type: Recreate}}",
        "updateStrategy.type=Recreate is not one of a DaemonSet",
    ),
    (
        "{env: {relay: a=b}, kind: DaemonSet, updateStrategy: {rollingUpdate: {maxUnavailable: 1}}}",
        "in a DaemonSet, one of maxSurge and maxUnavailable has to be 0",
    ),
    (
        "{env: {relay: a=b}, kind: DaemonSet, service: {hostPort: 3333}}",
        "pool default has a hostPort, so a node cannot run the new pod beside the old one",
    ),
    (
        "{env: {relay: a=b}, kind: DaemonSet, autoscaling: {enabled: true}}",
        "autoscaling.enabled is for kind=Deployment",
    ),
    ("{env: {relay: a=b}, dnsPolicy: None}", "dnsPolicy=None needs dnsConfig.nameservers"),
    ("{env: {relay: a=b}, networkPolicy: {enabled: true, clients: [{}]}}", "networkPolicy.clients[0] is no peer"),
    (
        "{env: {relay: a=b}, networkPolicy: {enabled: true, clients: [{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}]}}",
        "networkPolicy.clients[0] has ipBlock and a selector",
    ),
    (
        "{env: {relay: a=b}, networkPolicy: {enabled: true, backends: [{ipBlock: {cidr: banana}}]}}",
        r#"networkPolicy.backends[0]: "banana" is not a network"#,
    ),
    (
        "{env: {relay: a=b}, networkPolicy: {enabled: true, egress: [{to: [{ipBlock: {cidr: 10.0.0.0}}]}]}}",
        r#"networkPolicy.egress[0].to[0]: "10.0.0.0" is not a network"#,
    ),
];
