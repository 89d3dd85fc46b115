//! Defines every setting: reading, `ilb check`, the flags and the documentation are made from these definitions.

pub(super) mod backend_links;
pub(super) mod closing;
pub(super) mod connection_log;
mod forms;
pub(super) mod instance;
pub(super) mod siblings;
pub(super) mod traefik;
pub(super) mod zones;

use std::{path::PathBuf, time::Duration};

use ilb_controller::Shares;
use ilb_discovery::{BackendPort, Families, Selector, ipnet::IpNet};
use ilb_reconciler::{Method, least_connections::Overflow};
use ilb_traefik_client::{Name, ProxyProtocol};
use tracing_subscriber::filter::LevelFilter;

use self::forms::{BOOLEAN_FORM, DURATION_FORM};
use super::{
    listen_address::ListenAddress,
    parsers::{self, boolean, interval, non_empty, parsed, path, positive_duration},
    setting::{
        DefaultValue::{ByStderr, Text, Unset},
        Key, ListSetting, Setting,
    },
};
use crate::process::logging::LogFormat;

/// Environment variable that names the file of settings.
pub(super) const FILE_VARIABLE: &str = "ILB_CONFIG";

pub(super) static LOG_LEVEL: Setting<LevelFilter> = Setting {
    path: "log.level",
    variables: &["ILB_LOG_LEVEL", "LOG_LEVEL"],
    parse: parsers::log_level,
    default: Text("info"),
    form: "debug, info, warn or error",
    about: "Lowest level of the events that are logged, on stderr.",
};

pub(super) static LOG_FORMAT: Setting<LogFormat> = Setting {
    path: "log.format",
    variables: &["ILB_LOG_FORMAT", "LOG_FORMAT"],
    parse: parsers::log_format,
    default: ByStderr { terminal: "text", otherwise: "json" },
    form: "json or text",
    about: "Format of the log.",
};

/// Listens on every address by default, because the kubelet and metrics collectors connect from outside the pod.
pub(super) static ADMIN_ADDRESS: Setting<ListenAddress> = Setting {
    path: "admin.address",
    variables: &["ILB_ADMIN_ADDRESS"],
    parse: parsed,
    default: Text(":8081"),
    form: "a port such as :8081, or an address with a port such as 127.0.0.1:8081",
    about: "Address at which health, metrics and status are served. Only a port: all addresses, of IPv4 and IPv6.",
};

pub(super) static ADMIN_HOSTS: ListSetting<String> = ListSetting(Setting {
    path: "admin.hosts",
    variables: &["ILB_ADMIN_HOSTS"],
    parse: parsers::host_name,
    default: Unset("none"),
    form: "names of hosts such as ilb.example.com",
    about: "Names by which the status page, the status and the metrics may be requested, besides addresses, `localhost`, names \
            without a dot, `….svc` and the cluster's longer names of Services: those of a proxy in front, or `SERVICE.NAMESPACE`.",
});

pub(super) static CLOSER_SOCKET: Setting<PathBuf> = Setting {
    path: "closer.socket",
    variables: &["ILB_CLOSER_SOCKET"],
    parse: path,
    default: Unset("none"),
    form: "the path of a Unix socket such as /run/ilb/closer.sock",
    about: "Socket of `ilb closer`, which closes connections for the rules under `pools[].closing`. Without it, nothing is \
            closed: what would be is only shown.",
};

pub(super) static POOL_NAME: Setting<Name> = Setting {
    path: "pools[].name",
    variables: &["ILB_POOL_NAME"],
    parse: parsed,
    default: Text("default"),
    form: "a name of 1 to 63 letters, digits, '_' and '-'",
    about: "Name of the pool in logs, metrics and Traefik. With several pools, each needs one.",
};

pub(super) static SELECTOR: Setting<Selector> = Setting {
    path: "pools[].selector",
    variables: &["ILB_SELECTOR", "POD_LABELS"],
    parse: parsed,
    default: Unset("required, unless service or file is given"),
    form: "a label selector such as app=my-app",
    about: "The pods that match are the backends. Expressions such as `app=a,tier in (b,c),!canary` work too.",
};

pub(super) static SERVICE: Setting<String> = Setting {
    path: "pools[].service",
    variables: &["ILB_SERVICE"],
    parse: parsers::service_name,
    default: Unset("none"),
    form: "the name of a Service",
    about: "Instead of a selector: the endpoints of this Service (its EndpointSlices) are the backends.",
};

pub(super) static BACKENDS_FILE: Setting<PathBuf> = Setting {
    path: "pools[].file",
    variables: &["ILB_BACKENDS_FILE"],
    parse: path,
    default: Unset("none"),
    form: "the path of a YAML file that lists backends",
    about: "Instead of a selector: this file lists the backends. Changes to it take effect at once.",
};

pub(super) static NAMESPACES: ListSetting<String> = ListSetting(Setting {
    path: "pools[].namespaces",
    variables: &["ILB_NAMESPACES", "POD_NAMESPACE"],
    parse: non_empty,
    default: Unset("the pod's own, else the one of the kubeconfig's context"),
    form: "names of namespaces",
    about: "Namespaces of the pods, or the one namespace of the Service.",
});

pub(super) static ALL_NAMESPACES: Setting<bool> = Setting {
    path: "pools[].allNamespaces",
    variables: &["ILB_ALL_NAMESPACES"],
    parse: boolean,
    default: Text("false"),
    form: BOOLEAN_FORM,
    about: "Select pods in all namespaces, instead of in `namespaces`.",
};

pub(super) static BACKEND_PORT: Setting<BackendPort> = Setting {
    path: "pools[].backendPort",
    variables: &["ILB_BACKEND_PORT", "BACKEND_PORT"],
    parse: parsed,
    default: Text("3333"),
    form: "a port from 1 to 65535, or the name of one",
    about: "Port of the backends: its number, or the name of a port of the container (with `service`, of the Service).",
};

pub(super) static ADDRESS_FAMILIES: Setting<Families> = Setting {
    path: "pools[].addressFamilies",
    variables: &["ILB_ADDRESS_FAMILIES"],
    parse: parsers::families,
    default: Text("prefer-ipv4"),
    form: "prefer-ipv4, prefer-ipv6, only-ipv4 or only-ipv6",
    about: "Addresses that are used: those of one IP version, or for a backend with both versions the preferred one.",
};

pub(super) static ALLOWED_NETWORKS: ListSetting<IpNet> = ListSetting(Setting {
    path: "pools[].allowedNetworks",
    variables: &["ILB_ALLOWED_NETWORKS"],
    parse: parsers::network,
    default: Unset("all"),
    form: "networks such as 10.0.0.0/8",
    about: "Networks in which backends are allowed. Backends with other addresses are refused.",
});

pub(super) static ALLOW_LOOPBACK: Setting<bool> = Setting {
    path: "pools[].allowLoopback",
    variables: &["ILB_ALLOW_LOOPBACK_BACKENDS"],
    parse: boolean,
    default: Text("false"),
    form: "true or false (true only in tests)",
    about: "Accept backends with loopback addresses; for tests.",
};

pub(super) static WATCH: Setting<bool> = Setting {
    path: "pools[].watch",
    variables: &["ILB_WATCH", "USE_WATCH"],
    parse: boolean,
    default: Text("true"),
    form: BOOLEAN_FORM,
    about: "`true`: watch the API server for changes. `false`: list the backends every `updateInterval`.",
};

pub(super) static UPDATE_INTERVAL: Setting<Duration> = Setting {
    path: "pools[].updateInterval",
    variables: &["ILB_UPDATE_INTERVAL", "UPDATE_INTERVAL"],
    parse: interval,
    default: Text("1s"),
    form: "a duration with units such as 500ms, 1s or 1m30s, at most 24h",
    about: "Interval at which backends are listed without `watch`, and the longest time between two counts of connections.",
};

pub(super) static ENTRY_POINT: Setting<Name> = Setting {
    path: "pools[].entryPoint",
    variables: &["ILB_ENTRY_POINT"],
    parse: parsed,
    default: Text("tcp"),
    form: "the name of a Traefik entry point",
    about: "Traefik entry point that serves the clients of this pool. No two pools may share one.",
};

pub(super) static METHOD: Setting<Method> = Setting {
    path: "pools[].method",
    variables: &["ILB_METHOD", "LB_METHOD"],
    parse: parsers::method,
    default: Text("leastconn"),
    form: "leastconn or roundrobin",
    about: "`leastconn`: each new connection goes to a least loaded backend. `roundrobin`: backends take turns.",
};

pub(super) static CAPACITY: Setting<Shares> = Setting {
    path: "pools[].capacity",
    variables: &["ILB_CAPACITY"],
    parse: parsers::shares,
    default: Text("annotation"),
    form: "annotation or equal",
    about: "Number of shares that a backend takes. `annotation`: that of its annotation `ilb.dev/capacity` (or of the \
            file). `equal`: one each.",
};

pub(super) static SLOW_START: Setting<Duration> = Setting {
    path: "pools[].slowStart",
    variables: &["ILB_SLOW_START"],
    parse: parsers::duration,
    default: Text("0s"),
    form: "a duration with units such as 30s, at most 8760h, or 0s",
    about: "How long a new backend takes to reach its full share. Only with `leastconn`.",
};

pub(super) static MAX_CONNECTIONS: Setting<u32> = Setting {
    path: "pools[].maxConnections",
    variables: &["ILB_MAX_CONNECTIONS"],
    parse: parsers::max_connections,
    default: Unset("none"),
    form: "a number from 1",
    about: "Maximum number of connections of a backend, through all replicas together; its annotation \
            `ilb.dev/max-connections` (or the file) takes precedence. It is soft: see \
            [a limit per backend](balancing.md#a-limit-per-backend). Only with `leastconn`.",
};

pub(super) static OVERFLOW: Setting<Overflow> = Setting {
    path: "pools[].overflow",
    variables: &["ILB_OVERFLOW"],
    parse: parsers::overflow,
    default: Text("refuse"),
    form: "refuse or spread",
    about: "Destination of new connections while all backends have as many as they may have. `refuse`: none, they are closed at \
            once. `spread`: all backends, as if there were no limit.",
};

pub(super) static DRAINING_FALLBACK: Setting<bool> = Setting {
    path: "pools[].drainingFallback",
    variables: &["ILB_DRAINING_FALLBACK"],
    parse: boolean,
    default: Text("false"),
    form: BOOLEAN_FORM,
    about: "`true`: while no backend is ready, draining backends that still serve get new connections. `false`: draining \
            backends never do.",
};

pub(super) static DIAL_TIMEOUT: Setting<Duration> = Setting {
    path: "pools[].dialTimeout",
    variables: &["ILB_DIAL_TIMEOUT"],
    parse: positive_duration,
    default: Text("2s"),
    form: DURATION_FORM,
    about: "How long Traefik tries to connect to a backend.",
};

pub(super) static KEEP_ALIVE: Setting<Duration> = Setting {
    path: "pools[].keepAlive",
    variables: &["ILB_KEEP_ALIVE"],
    parse: positive_duration,
    default: Text("15s"),
    form: DURATION_FORM,
    about: "Interval of TCP keepalive probes to backends.",
};

pub(super) static TERMINATION_DELAY: Setting<Duration> = Setting {
    path: "pools[].terminationDelay",
    variables: &["ILB_TERMINATION_DELAY"],
    parse: positive_duration,
    default: Text("1h"),
    form: DURATION_FORM,
    about: "How long an answer may take after the client has shut down its sending side.",
};

pub(super) static PROXY_PROTOCOL: Setting<ProxyProtocol> = Setting {
    path: "pools[].proxyProtocol",
    variables: &["ILB_PROXY_PROTOCOL"],
    parse: parsers::proxy_protocol,
    default: Unset("none"),
    form: "1 or 2",
    about: "Version of the PROXY protocol by which Traefik passes the client's address to backends.",
};

/// Returns whether a variable is that of a setting.
pub(crate) fn is_variable(name: &str) -> bool {
    name == FILE_VARIABLE || KEYS.iter().any(|key| key.variables.contains(&name))
}

/// Table of all settings, in the order of the documentation and of `ilb check`.
pub(crate) static KEYS: &[Key] = &[
    LOG_LEVEL.key(),
    LOG_FORMAT.key(),
    ADMIN_ADDRESS.key(),
    ADMIN_HOSTS.key(),
    backend_links::BACKEND_LINKS.key(),
    traefik::TRAEFIK_URLS.key(),
    traefik::TRAEFIK_DNS.key(),
    traefik::TRAEFIK_QUORUM.key(),
    traefik::TRAEFIK_TIMEOUT.key(),
    traefik::TRAEFIK_USERNAME.key(),
    traefik::TRAEFIK_PASSWORD_FILE.key(),
    traefik::TRAEFIK_BEARER_TOKEN_FILE.key(),
    traefik::TRAEFIK_CA_FILE.key(),
    traefik::TRAEFIK_CERT_FILE.key(),
    traefik::TRAEFIK_KEY_FILE.key(),
    CLOSER_SOCKET.key(),
    siblings::SIBLINGS.key(),
    siblings::EXPECT_SIBLINGS.key(),
    instance::INSTANCE_POD.key(),
    instance::INSTANCE_NAMESPACE.key(),
    instance::INSTANCE_NODE.key(),
    instance::INSTANCE_RELEASE.key(),
    instance::INSTANCE_UID.key(),
    zones::INSTANCE_ZONE.key(),
    zones::ZONE_OF_NODE.key(),
    instance::KUBERNETES_EVENTS.key(),
    connection_log::CONNECTION_LOG_ENABLED.key(),
    connection_log::CONNECTION_LOG_MAX_RATE.key(),
    POOL_NAME.key(),
    SELECTOR.key(),
    SERVICE.key(),
    BACKENDS_FILE.key(),
    NAMESPACES.key(),
    ALL_NAMESPACES.key(),
    BACKEND_PORT.key(),
    ADDRESS_FAMILIES.key(),
    ALLOWED_NETWORKS.key(),
    ALLOW_LOOPBACK.key(),
    WATCH.key(),
    UPDATE_INTERVAL.key(),
    ENTRY_POINT.key(),
    METHOD.key(),
    CAPACITY.key(),
    SLOW_START.key(),
    MAX_CONNECTIONS.key(),
    OVERFLOW.key(),
    zones::ZONES.key(),
    zones::ZONE_MAX_EXCESS.key(),
    DRAINING_FALLBACK.key(),
    DIAL_TIMEOUT.key(),
    KEEP_ALIVE.key(),
    TERMINATION_DELAY.key(),
    PROXY_PROTOCOL.key(),
    closing::REBALANCE_ENABLED.key(),
    closing::REBALANCE_START_ABOVE.key(),
    closing::REBALANCE_STOP_AT.key(),
    closing::REBALANCE_LEAST.key(),
    closing::REBALANCE_RATE.key(),
    closing::REBALANCE_MAX_RATE.key(),
    closing::REBALANCE_MIN_AGE.key(),
    closing::REBALANCE_QUIET.key(),
    closing::DRAIN_ENABLED.key(),
    closing::DRAIN_AFTER.key(),
    closing::DRAIN_WITHIN.key(),
    closing::DRAIN_QUIET.key(),
    closing::ON_SELECTOR_LEFT.key(),
    closing::WAIT_FOR_SUCCESSOR.key(),
    closing::MAX_AGE.key(),
    closing::AGE_JITTER.key(),
    closing::AGE_GRACE.key(),
    closing::AGE_MAX_RATE.key(),
    closing::AGE_QUIET.key(),
    closing::EVEN_ALONE.key(),
    closing::SETTLE.key(),
    closing::MAX_PER_HOUR.key(),
    closing::ONLY.key(),
    closing::DRY_RUN.key(),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_setting_has_a_path_a_variable_and_a_flag_of_its_own() {
        let variables: BTreeSet<_> = KEYS.iter().flat_map(|key| key.variables).collect();
        assert_eq!(variables.len(), KEYS.iter().map(|key| key.variables.len()).sum::<usize>());
        assert_eq!(KEYS.iter().map(|key| key.path).collect::<BTreeSet<_>>().len(), KEYS.len());
        assert_eq!(KEYS.iter().map(Key::flag).collect::<BTreeSet<_>>().len(), KEYS.len());
        assert!(KEYS.iter().all(|key| key.variables[0].starts_with("ILB_")));
    }

    /// A definition that is missing in the table would be neither documented nor accepted.
    #[test]
    fn the_table_has_every_definition() {
        let files = [
            include_str!("definitions.rs"),
            include_str!("definitions/backend_links.rs"),
            include_str!("definitions/closing.rs"),
            include_str!("definitions/connection_log.rs"),
            include_str!("definitions/instance.rs"),
            include_str!("definitions/siblings.rs"),
            include_str!("definitions/traefik.rs"),
            include_str!("definitions/zones.rs"),
        ];
        let lines = files.into_iter().flat_map(str::lines);
        let is_static = |line: &&str| {
            ["pub(super) static ", "pub(in crate::settings) static "].iter().any(|start| line.starts_with(start))
        };
        let defined = lines.filter(is_static).filter(|line| line.contains("Setting<"));
        assert_eq!(defined.count(), KEYS.len());
    }

    #[test]
    fn every_setting_is_explained_in_whole_sentences() {
        for key in KEYS {
            assert!(key.about.ends_with('.') && !key.form.is_empty(), "{}", key.path);
        }
    }
}
