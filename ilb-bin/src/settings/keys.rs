//! The table of settings: reading, checking, `ilb check` and the documentation are all made from it.

/// One setting.
#[derive(Debug)]
pub(crate) struct Key {
    /// Its place in the file: `log.level`, or `pools[].selector` for one of a pool.
    pub(super) path: &'static str,
    /// The variables that set it, ours first. Only one of them may be set.
    pub(super) variables: &'static [&'static str],
    pub(super) kind: Kind,
    /// What is accepted, as a message ends: "give …".
    pub(super) form: &'static str,
    /// What holds if nothing is set, for people.
    pub(super) default: &'static str,
    pub(super) about: &'static str,
}

/// The shape of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A text, a number or a boolean.
    One,
    /// A list of texts; in variables and flags separated by commas.
    Many,
}

impl Key {
    /// The key of one pool, if it is one.
    pub(super) fn of_pool(&self) -> Option<&'static str> {
        self.path.strip_prefix(POOL)
    }

    /// The name of the flag, without the dashes.
    pub(crate) fn flag(&self) -> String {
        self.variables
            .first()
            .map_or_else(String::new, |own| own.trim_start_matches("ILB_").to_ascii_lowercase().replace('_', "-"))
    }

    /// What it is for, in one sentence.
    pub(crate) fn about(&self) -> &'static str {
        self.about
    }
}

const POOL: &str = "pools[].";

/// Durations in all of these are written with units.
pub(super) const DURATION: &str = "a duration with units such as 500ms, 1s or 1m30s";
const BOOLEAN: &str = "true or false";

/// All of them, in the order of the documentation.
pub(crate) const KEYS: &[Key] = &[
    Key {
        path: "log.level",
        variables: &["ILB_LOG_LEVEL", "LOG_LEVEL"],
        kind: Kind::One,
        form: "debug, info, warn or error",
        default: "info",
        about: "Which events are logged, on stderr.",
    },
    Key {
        path: "log.format",
        variables: &["ILB_LOG_FORMAT", "LOG_FORMAT"],
        kind: Kind::One,
        form: "json or text",
        default: "json, on a terminal text",
        about: "How events are written.",
    },
    Key {
        path: "admin.address",
        variables: &["ILB_ADMIN_ADDRESS"],
        kind: Kind::One,
        form: "an address with a port such as 0.0.0.0:8081",
        default: "0.0.0.0:8081",
        about: "Where health, metrics and status are served.",
    },
    Key {
        path: "traefik.urls",
        variables: &["ILB_TRAEFIK_URLS", "TRAEFIK_API_URL"],
        kind: Kind::Many,
        form: "an http URL such as http://localhost:8080/api/providers/rest",
        default: "http://localhost:8080/api/providers/rest",
        about: "The REST provider of Traefik, or the base URL that it is below. Several make a fleet: each Traefik gets the \
                same configuration.",
    },
    Key {
        path: "traefik.dns",
        variables: &["ILB_TRAEFIK_DNS"],
        kind: Kind::One,
        form: "a URL whose host resolves to all instances, such as http://traefik.apps:8080",
        default: "none",
        about: "A fleet by name, instead of `traefik.urls`: every address that the host resolves to, now and later.",
    },
    Key {
        path: "traefik.basicAuth.username",
        variables: &["ILB_TRAEFIK_USERNAME"],
        kind: Kind::One,
        form: "a user name",
        default: "none",
        about: "The user towards a Traefik that asks for basic authentication.",
    },
    Key {
        path: "traefik.basicAuth.passwordFile",
        variables: &["ILB_TRAEFIK_PASSWORD_FILE"],
        kind: Kind::One,
        form: "the path of a file that holds the password",
        default: "none",
        about: "The password of that user, read at the start.",
    },
    Key {
        path: "traefik.bearerTokenFile",
        variables: &["ILB_TRAEFIK_BEARER_TOKEN_FILE"],
        kind: Kind::One,
        form: "the path of a file that holds a token",
        default: "none",
        about: "A token to show to Traefik, read again for each request, instead of basic authentication.",
    },
    Key {
        path: "traefik.tls.caFile",
        variables: &["ILB_TRAEFIK_CA_FILE"],
        kind: Kind::One,
        form: "the path of a PEM file with certificates",
        default: "none",
        about: "Whose certificates a Traefik behind https may have; https needs it.",
    },
    Key {
        path: "traefik.tls.certFile",
        variables: &["ILB_TRAEFIK_CERT_FILE"],
        kind: Kind::One,
        form: "the path of a PEM file with a certificate",
        default: "none",
        about: "The client certificate to show to Traefik.",
    },
    Key {
        path: "traefik.tls.keyFile",
        variables: &["ILB_TRAEFIK_KEY_FILE"],
        kind: Kind::One,
        form: "the path of a PEM file with a private key",
        default: "none",
        about: "The key of the client certificate.",
    },
    Key {
        path: "pools[].name",
        variables: &["ILB_POOL_NAME"],
        kind: Kind::One,
        form: "a name of letters, digits, '.', '_' and '-'",
        default: "default",
        about: "The name of the pool in logs, metrics and Traefik. Each of several pools needs one.",
    },
    Key {
        path: "pools[].selector",
        variables: &["ILB_SELECTOR", "POD_LABELS"],
        kind: Kind::One,
        form: "a label selector such as app=my-app",
        default: "required, unless service or file is given",
        about: "The pods with these labels are the backends; also `app=a,tier in (b,c),!canary`.",
    },
    Key {
        path: "pools[].service",
        variables: &["ILB_SERVICE"],
        kind: Kind::One,
        form: "the name of a Service",
        default: "none",
        about: "Instead of a selector: the endpoints of this Service (its EndpointSlices) are the backends.",
    },
    Key {
        path: "pools[].file",
        variables: &["ILB_BACKENDS_FILE"],
        kind: Kind::One,
        form: "the path of a YAML file that lists backends",
        default: "none",
        about: "Instead of a selector: the backends that this file lists, followed as it changes.",
    },
    Key {
        path: "pools[].namespaces",
        variables: &["ILB_NAMESPACES", "POD_NAMESPACE"],
        kind: Kind::Many,
        form: "names of namespaces",
        default: "the pod's own, else the one of the kubeconfig's context",
        about: "Where the pods are, or the Service (one namespace).",
    },
    Key {
        path: "pools[].allNamespaces",
        variables: &["ILB_ALL_NAMESPACES"],
        kind: Kind::One,
        form: BOOLEAN,
        default: "false",
        about: "The pods of all namespaces, instead of `namespaces`.",
    },
    Key {
        path: "pools[].backendPort",
        variables: &["ILB_BACKEND_PORT", "BACKEND_PORT"],
        kind: Kind::One,
        form: "a port from 1 to 65535, or the name of one",
        default: "3333",
        about: "The port of the backends; a name is the one of a container's port, or of the Service's.",
    },
    Key {
        path: "pools[].addressFamilies",
        variables: &["ILB_ADDRESS_FAMILIES"],
        kind: Kind::One,
        form: "prefer-ipv4, prefer-ipv6, only-ipv4 or only-ipv6",
        default: "prefer-ipv4",
        about: "Which address of a backend with several is used.",
    },
    Key {
        path: "pools[].allowedNetworks",
        variables: &["ILB_ALLOWED_NETWORKS"],
        kind: Kind::Many,
        form: "networks such as 10.0.0.0/8",
        default: "all",
        about: "Backends elsewhere are refused.",
    },
    Key {
        path: "pools[].allowLoopback",
        variables: &["ILB_ALLOW_LOOPBACK_BACKENDS"],
        kind: Kind::One,
        form: "true or false (true only in tests)",
        default: "false",
        about: "Let loopback addresses be backends; for tests.",
    },
    Key {
        path: "pools[].watch",
        variables: &["ILB_WATCH", "USE_WATCH"],
        kind: Kind::One,
        form: BOOLEAN,
        default: "true",
        about: "Watch the API server; else ask it every `updateInterval`.",
    },
    Key {
        path: "pools[].updateInterval",
        variables: &["ILB_UPDATE_INTERVAL", "UPDATE_INTERVAL"],
        kind: Kind::One,
        form: DURATION,
        default: "1s",
        about: "How often to ask when not watching, and the longest time between two counts of connections.",
    },
    Key {
        path: "pools[].entryPoint",
        variables: &["ILB_ENTRY_POINT"],
        kind: Kind::One,
        form: "the name of a Traefik entry point",
        default: "tcp",
        about: "The entry point that serves the clients of this pool, and of no other.",
    },
    Key {
        path: "pools[].method",
        variables: &["ILB_METHOD", "LB_METHOD"],
        kind: Kind::One,
        form: "leastconn or roundrobin",
        default: "leastconn",
        about: "`leastconn`: each new connection goes to a least loaded backend; `roundrobin`: in turn.",
    },
    Key {
        path: "pools[].capacity",
        variables: &["ILB_CAPACITY"],
        kind: Kind::One,
        form: "annotation or equal",
        default: "annotation",
        about: "How many shares a backend takes: what its annotation `ilb.dev/capacity` (or the file) says, or one each.",
    },
    Key {
        path: "pools[].slowStart",
        variables: &["ILB_SLOW_START"],
        kind: Kind::One,
        form: "a duration with units such as 30s, or 0s",
        default: "0s",
        about: "How long a new backend takes to get its whole share; with `leastconn`.",
    },
    Key {
        path: "pools[].drainingFallback",
        variables: &["ILB_DRAINING_FALLBACK"],
        kind: Kind::One,
        form: BOOLEAN,
        default: "false",
        about: "Draining backends get no new connections. `true`: those that still serve do, while no other is ready.",
    },
    Key {
        path: "pools[].dialTimeout",
        variables: &["ILB_DIAL_TIMEOUT"],
        kind: Kind::One,
        form: DURATION,
        default: "2s",
        about: "How long Traefik tries to connect to a backend.",
    },
    Key {
        path: "pools[].keepAlive",
        variables: &["ILB_KEEP_ALIVE"],
        kind: Kind::One,
        form: DURATION,
        default: "15s",
        about: "The interval of TCP keepalive towards backends.",
    },
    Key {
        path: "pools[].terminationDelay",
        variables: &["ILB_TERMINATION_DELAY"],
        kind: Kind::One,
        form: DURATION,
        default: "1h",
        about: "How long an answer may take to a client that has shut down its sending side.",
    },
    Key {
        path: "pools[].proxyProtocol",
        variables: &["ILB_PROXY_PROTOCOL"],
        kind: Kind::One,
        form: "1 or 2",
        default: "none",
        about: "The version of the PROXY protocol that tells backends the client's address.",
    },
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
}
