use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

use ilb_discovery::{AddressPolicy, BackendPort, Families, Selector};
use ilb_traefik_client::{Name, ProxyProtocol, Timeouts};

use super::{
    forms::{self, boolean, duration, parsed, some_text},
    reading::Reading,
};

/// One pool.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PoolSettings {
    pub(crate) name: Name,
    pub(crate) entry_point: Name,
    pub(crate) backends: Backends,
    pub(crate) namespaces: Namespaces,
    pub(crate) port: BackendPort,
    pub(crate) families: Families,
    pub(crate) addresses: AddressPolicy,
    pub(crate) watch: bool,
    pub(crate) update_interval: Duration,
    pub(crate) method: Method,
    pub(crate) capacities: Capacities,
    pub(crate) slow_start: Duration,
    pub(crate) draining_fallback: bool,
    pub(crate) timeouts: Timeouts,
    pub(crate) proxy_protocol: Option<ProxyProtocol>,
}

/// Who the backends of a pool are.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Backends {
    /// The pods with these labels.
    Pods(Selector),
    /// The endpoints of the Service of this name.
    Service(String),
    /// Those that a file lists.
    File(PathBuf),
}

/// Where pods are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Namespaces {
    /// Where the process runs, or the kubeconfig's context says.
    Own,
    These(Vec<String>),
    All,
}

/// How a backend is chosen for a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    LeastConnections,
    RoundRobin,
}

/// How many shares a backend takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Capacities {
    /// As many as discovery says.
    OfBackends,
    /// One each.
    Equal,
}

impl fmt::Display for Backends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pods(selector) => write!(f, "pods {}", selector.as_str()),
            Self::Service(name) => write!(f, "service {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
        }
    }
}

impl Method {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::LeastConnections => "leastconn",
            Self::RoundRobin => "roundrobin",
        }
    }
}

impl PoolSettings {
    /// All pools. One that is wrong is left out, with at least one problem.
    pub(super) fn read_all(reading: &mut Reading<'_>) -> Vec<Self> {
        let count = reading.pools();
        let pools = (0..count).map(|index| Self::read(reading, index, count)).collect::<Vec<_>>();
        tell_apart(reading, &pools, "name", |pool| &pool.name);
        tell_apart(reading, &pools, "entryPoint", |pool| &pool.entry_point);
        pools.into_iter().flatten().collect()
    }

    fn read(reading: &mut Reading<'_>, index: usize, count: usize) -> Option<Self> {
        let at = |key: &str| format!("pools[{index}].{key}");
        let name = reading.one(&at("name"), parsed);
        if name.is_none() && count > 1 && reading.origin(&at("name")).is_none() {
            reading.problems.push(format!("{} is not set: give each of {count} pools a name of its own", at("name")));
        }
        let backends = backends(reading, index);
        let namespaces = namespaces(reading, index, backends.as_ref());
        let port = reading.one(&at("backendPort"), parsed).unwrap_or(BackendPort::Number(3333));
        let families = reading.one(&at("addressFamilies"), forms::families).unwrap_or_default();
        let networks = reading.many(&at("allowedNetworks"), forms::network);
        let loopback = reading.one(&at("allowLoopback"), boolean).unwrap_or(false);
        let mut addresses = AddressPolicy::default().allow_loopback(loopback);
        if let Some(networks) = networks {
            addresses = addresses.allow_only(networks);
        }
        let watch = reading.one(&at("watch"), boolean).unwrap_or(true);
        let update_interval = reading.one(&at("updateInterval"), duration).unwrap_or(Duration::from_secs(1));
        let entry_point = reading.one(&at("entryPoint"), parsed).or_else(|| "tcp".parse().ok());
        let method = reading.one(&at("method"), forms::method).unwrap_or(Method::LeastConnections);
        let capacities = reading.one(&at("capacity"), forms::capacities).unwrap_or(Capacities::OfBackends);
        let slow_start = reading.one(&at("slowStart"), forms::duration_or_zero).unwrap_or_default();
        let draining_fallback = reading.one(&at("drainingFallback"), boolean).unwrap_or(false);
        let mut timeouts = Timeouts::default();
        for (key, timeout) in [
            ("dialTimeout", &mut timeouts.dial),
            ("keepAlive", &mut timeouts.keep_alive),
            ("terminationDelay", &mut timeouts.termination_delay),
        ] {
            *timeout = reading.one(&at(key), duration).unwrap_or(*timeout);
        }
        let proxy_protocol = reading.one(&at("proxyProtocol"), forms::proxy_protocol);
        Some(Self {
            name: name.or_else(|| "default".parse().ok())?,
            entry_point: entry_point?,
            backends: backends?,
            namespaces,
            port,
            families,
            addresses,
            watch,
            update_interval,
            method,
            capacities,
            slow_start,
            draining_fallback,
            timeouts,
            proxy_protocol,
        })
    }
}

fn backends(reading: &mut Reading<'_>, index: usize) -> Option<Backends> {
    let [selector, service, file] = ["selector", "service", "file"].map(|key| format!("pools[{index}].{key}"));
    let given: Vec<_> = [&selector, &service, &file].into_iter().filter_map(|path| reading.origin(path)).collect();
    match given.as_slice() {
        [] => reading.problems.push(format!(
            "nothing says who the backends are: set POD_LABELS, --selector or {selector} in the file to a label selector \
             such as app=my-app, or give a service or a file"
        )),
        [_] => {}
        several => reading
            .problems
            .push(format!("{} exclude each other: keep one of selector, service and file", several.join(" and "))),
    }
    let selector = reading.one(&selector, parsed).map(Backends::Pods);
    let service = reading.one(&service, service_name).map(Backends::Service);
    let file = reading.one(&file, some_text).map(|path| Backends::File(path.into()));
    selector.or(service).or(file)
}

/// RFC 1035 or a little more: the API server has the last word.
fn service_name(text: &str) -> Result<String, &'static str> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let formed = !text.is_empty() && text.len() <= 63 && text.chars().all(plain);
    if formed { Ok(text.to_owned()) } else { Err("a name has lowercase letters, digits and '-'") }
}

fn namespaces(reading: &mut Reading<'_>, index: usize, backends: Option<&Backends>) -> Namespaces {
    let [these, all] = ["namespaces", "allNamespaces"].map(|key| format!("pools[{index}].{key}"));
    let origins = [reading.origin(&these), reading.origin(&all)];
    let names = reading.many(&these, some_text);
    let everywhere = reading.one(&all, boolean).unwrap_or(false);
    let [these, all] = origins.map(Option::unwrap_or_default);
    match (names, everywhere, backends) {
        (Some(_), true, _) => {
            reading.problems.push(format!("{these} and {all} exclude each other: keep one of them"));
        }
        (Some(names), _, Some(Backends::Service(_))) if names.len() > 1 => {
            reading.problems.push(format!("{these} has {} namespaces: a Service is in one", names.len()));
        }
        (_, true, Some(Backends::Service(_))) => {
            reading.problems.push(format!("{all} does not fit a Service, which is in one namespace: name that"));
        }
        (Some(names), ..) if names.is_empty() => {
            reading.problems.push(format!("{these} is empty: name a namespace, or leave it out"));
        }
        (Some(names), ..) => return Namespaces::These(names),
        (None, true, _) => return Namespaces::All,
        (None, false, _) => {}
    }
    Namespaces::Own
}

/// Complains about pools that have the same.
fn tell_apart<'a, T: Ord + fmt::Display + 'a>(
    reading: &mut Reading<'_>,
    pools: &'a [Option<PoolSettings>],
    key: &str,
    of: impl Fn(&'a PoolSettings) -> &'a T,
) {
    let mut seen = BTreeMap::new();
    for (index, pool) in pools.iter().enumerate() {
        let Some(value) = pool.as_ref().map(&of) else { continue };
        if let Some(first) = seen.insert(value, index) {
            let path = format!("pools[{index}].{key}");
            let place = reading.origin(&path).unwrap_or(path);
            reading.problems.push(format!("{place}: pools[{first}] has the {key} {value} already: give another one"));
        }
    }
}
