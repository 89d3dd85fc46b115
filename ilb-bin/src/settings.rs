use std::{
    collections::HashMap,
    ffi::OsString,
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    str::FromStr,
    time::Duration,
};

use config::{Config, Environment};
use ilb_discovery::Selector;
use ilb_traefik_client::{Name, Timeouts, Traefik};
use serde::Deserialize;
use tracing_subscriber::filter::LevelFilter;

use crate::{
    controller::Pool,
    logging::{Format, Log},
};

/// Valid settings.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) selector: Selector,
    /// `None`: where the process runs, or the kubeconfig's context.
    pub(crate) namespace: Option<String>,
    pub(crate) backend_port: u16,
    pub(crate) use_watch: bool,
    pub(crate) update_interval: Duration,
    pub(crate) method: Method,
    pub(crate) traefik_api_url: String,
    pub(crate) pool: Pool,
    pub(crate) allow_loopback: bool,
    /// Where health, metrics and status are served.
    pub(crate) admin_address: SocketAddr,
    pub(crate) log: Log,
}

/// How a backend is chosen for a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    LeastConnections,
    RoundRobin,
}

impl Method {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::LeastConnections => "leastconn",
            Self::RoundRobin => "roundrobin",
        }
    }
}

/// Everything that is wrong with the settings, a line each.
#[derive(Debug)]
pub(crate) struct Problems(Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|problem| writeln!(f, "ilb: {problem}"))
    }
}

/// The environment as it comes: each variable's name in lower case is a field.
#[derive(Deserialize)]
struct Raw {
    pod_labels: Option<String>,
    pod_namespace: Option<String>,
    backend_port: Option<String>,
    use_watch: Option<String>,
    update_interval: Option<String>,
    lb_method: Option<String>,
    traefik_api_url: Option<String>,
    log_level: Option<String>,
    log_format: Option<String>,
    ilb_entry_point: Option<String>,
    ilb_termination_delay: Option<String>,
    ilb_allow_loopback_backends: Option<String>,
    ilb_admin_address: Option<String>,
}

/// The variables with our own prefix: another one with this prefix is a mistake.
const OWN: [&str; 4] = ["ILB_ENTRY_POINT", "ILB_TERMINATION_DELAY", "ILB_ALLOW_LOOPBACK_BACKENDS", "ILB_ADMIN_ADDRESS"];

/// Every address, because the kubelet and collectors of metrics come from outside the pod.
const DEFAULT_ADMIN_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8081);

impl Settings {
    /// Reads and checks the environment.
    pub(crate) fn from_environment(vars: impl Iterator<Item = (OsString, OsString)>) -> Result<Self, Problems> {
        let vars: HashMap<String, String> =
            vars.filter_map(|(k, v)| Some((k.into_string().ok()?, v.to_string_lossy().into_owned()))).collect();
        let mut problems: Vec<String> = vars.keys().filter_map(|name| unknown(name)).collect();
        problems.sort();
        let raw = Config::builder()
            .add_source(Environment::default().ignore_empty(true).source(Some(vars)))
            .build()
            .and_then(Config::try_deserialize::<Raw>)
            .map_err(|e| Problems(vec![format!("the environment cannot be read: {e}")]))?;
        let settings = raw.check(&mut problems);
        settings.filter(|_| problems.is_empty()).ok_or(Problems(problems))
    }
}

/// What is wrong with a variable of this name, if anything.
fn unknown(name: &str) -> Option<String> {
    let rest = name.strip_prefix("ILB_").filter(|_| !OWN.contains(&name))?;
    // A Service named `ilb` makes the kubelet set ILB_SERVICE_HOST, ILB_PORT_3333_TCP_ADDR and so on.
    let service_link = rest.starts_with("SERVICE_") || rest == "PORT" || rest.starts_with("PORT_");
    (!service_link).then(|| format!("{name} is not a setting: use one of {}, or remove it", OWN.join(", ")))
}

impl Raw {
    /// The valid settings; what is wrong goes to `problems`. `None` only if something is wrong.
    fn check(self, problems: &mut Vec<String>) -> Option<Settings> {
        let mut check = Check { problems };
        let selector = check.required("POD_LABELS", self.pod_labels, "a label selector such as app=my-app");
        let backend_port = check.optional("BACKEND_PORT", self.backend_port, "a port from 1 to 65535", port);
        let use_watch = check.optional("USE_WATCH", self.use_watch, "true or false", boolean);
        let update_interval = check.optional("UPDATE_INTERVAL", self.update_interval, DURATION, duration);
        let method = check.optional("LB_METHOD", self.lb_method, "leastconn or roundrobin", lb_method);
        let traefik_api_url = check.optional(
            "TRAEFIK_API_URL",
            self.traefik_api_url,
            "an http URL such as http://localhost:8080/api/providers/rest",
            |text| Traefik::new(text).map(|_| text.to_owned()).map_err(|e| e.to_string()),
        );
        let level = check.optional("LOG_LEVEL", self.log_level, "debug, info, warn or error", log_level);
        let format = check.optional("LOG_FORMAT", self.log_format, "json or text", log_format);
        let entry_point = check.optional(OWN[0], self.ilb_entry_point, "the name of a Traefik entry point", parsed);
        let termination_delay = check.optional(OWN[1], self.ilb_termination_delay, DURATION, duration);
        let allow_loopback =
            check.optional(OWN[2], self.ilb_allow_loopback_backends, "true or false (true only in tests)", boolean);
        let admin_address =
            check.optional(OWN[3], self.ilb_admin_address, "an address with a port such as 0.0.0.0:8081", parsed);
        let mut timeouts = Timeouts::default();
        if let Some(delay) = termination_delay {
            timeouts.termination_delay = delay;
        }
        Some(Settings {
            selector: selector?,
            namespace: self.pod_namespace,
            backend_port: backend_port.unwrap_or(3333),
            use_watch: use_watch.unwrap_or(true),
            update_interval: update_interval.unwrap_or(Duration::from_secs(1)),
            method: method.unwrap_or(Method::LeastConnections),
            traefik_api_url: traefik_api_url.unwrap_or_else(|| "http://localhost:8080/api/providers/rest".to_owned()),
            pool: Pool { name: name("default")?, entry_point: entry_point.or_else(|| name("tcp"))?, timeouts },
            allow_loopback: allow_loopback.unwrap_or(false),
            admin_address: admin_address.unwrap_or(DEFAULT_ADMIN_ADDRESS),
            log: Log { level: level.unwrap_or(LevelFilter::INFO), format: format.unwrap_or(Format::Json) },
        })
    }
}

/// Collects what is wrong.
struct Check<'a> {
    problems: &'a mut Vec<String>,
}

impl Check<'_> {
    fn required<T: FromStr<Err: fmt::Display>>(
        &mut self,
        variable: &str,
        value: Option<String>,
        form: &str,
    ) -> Option<T> {
        if value.is_none() {
            self.problems.push(format!("{variable} is not set: give {form}"));
        }
        self.optional(variable, value, form, parsed)
    }

    fn optional<T, E: fmt::Display>(
        &mut self,
        variable: &str,
        value: Option<String>,
        form: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let value = value?;
        match parse(value.trim()) {
            Ok(parsed) => Some(parsed),
            Err(why) => {
                self.problems.push(format!("{variable}={value:?} cannot be used ({why}): give {form}"));
                None
            }
        }
    }
}

const DURATION: &str = "a duration with units such as 500ms, 1s or 1m30s";

fn parsed<T: FromStr>(text: &str) -> Result<T, T::Err> {
    text.parse()
}

fn name(text: &str) -> Option<Name> {
    text.parse().ok()
}

fn port(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(0) => Err("port 0 is no port".to_owned()),
        Ok(port) => Ok(port),
        Err(e) => Err(e.to_string()),
    }
}

fn boolean(text: &str) -> Result<bool, &'static str> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err("it is neither"),
    }
}

/// Go's form of a duration, as the Go program before this one read it.
fn duration(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<kube::core::Duration>().map_err(|e| e.to_string())?;
    if parsed.is_negative() || Duration::from(parsed).is_zero() {
        return Err("it is not positive".to_owned());
    }
    Ok(parsed.into())
}

fn lb_method(text: &str) -> Result<Method, &'static str> {
    match text {
        "leastconn" => Ok(Method::LeastConnections),
        "roundrobin" => Ok(Method::RoundRobin),
        _ => Err("no such method"),
    }
}

fn log_level(text: &str) -> Result<LevelFilter, &'static str> {
    match text.to_ascii_lowercase().as_str() {
        "debug" => Ok(LevelFilter::DEBUG),
        "info" => Ok(LevelFilter::INFO),
        "warn" => Ok(LevelFilter::WARN),
        "error" => Ok(LevelFilter::ERROR),
        _ => Err("no such level"),
    }
}

fn log_format(text: &str) -> Result<Format, &'static str> {
    match text.to_ascii_lowercase().as_str() {
        "json" => Ok(Format::Json),
        "text" => Ok(Format::Text),
        _ => Err("no such format"),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn settings(vars: &[(&str, &str)]) -> Result<Settings, String> {
        let vars = vars.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        Settings::from_environment(vars).map_err(|e| e.to_string())
    }

    #[test]
    fn a_selector_is_all_that_is_needed() {
        let settings = settings(&[("POD_LABELS", "app=myapp,tier=backend"), ("PATH", "/bin")]).unwrap();
        assert_eq!(settings.selector.as_str(), "app=myapp,tier=backend");
        assert_eq!((settings.backend_port, settings.update_interval), (3333, Duration::from_secs(1)));
        assert_eq!((settings.method, settings.use_watch), (Method::LeastConnections, true));
        assert_eq!(settings.traefik_api_url, "http://localhost:8080/api/providers/rest");
        assert_eq!(settings.log, Log { level: LevelFilter::INFO, format: Format::Json });
        assert_eq!(settings.pool.timeouts.termination_delay, Duration::from_secs(3600));
    }

    #[test]
    fn every_variable_of_the_seed_is_read() {
        let settings = settings(&[
            ("POD_LABELS", "app=a"),
            ("TRAEFIK_API_URL", "http://127.0.0.1:1"),
            ("POD_NAMESPACE", "apps"),
            ("UPDATE_INTERVAL", "1m30s"),
            ("BACKEND_PORT", "5432"),
            ("LB_METHOD", "roundrobin"),
            ("USE_WATCH", "0"),
            ("LOG_LEVEL", "debug"),
            ("LOG_FORMAT", "text"),
        ])
        .unwrap();
        assert_eq!(settings.namespace.as_deref(), Some("apps"));
        assert_eq!((settings.backend_port, settings.update_interval), (5432, Duration::from_secs(90)));
        assert_eq!((settings.method, settings.use_watch), (Method::RoundRobin, false));
        assert_eq!(settings.traefik_api_url, "http://127.0.0.1:1");
        assert_eq!(settings.log, Log { level: LevelFilter::DEBUG, format: Format::Text });
    }

    #[rstest]
    #[case("POD_LABELS", "app in", "at character 7: expected '(', found the end")]
    #[case("UPDATE_INTERVAL", "5", "500ms")]
    #[case("UPDATE_INTERVAL", "soon", "500ms")]
    #[case("UPDATE_INTERVAL", "-1s", "500ms")]
    #[case("UPDATE_INTERVAL", "0s", "500ms")]
    #[case("LB_METHOD", "random", "leastconn or roundrobin")]
    #[case("TRAEFIK_API_URL", "localhost:8080", "http://localhost:8080/api/providers/rest")]
    #[case("BACKEND_PORT", "70000", "1 to 65535")]
    #[case("BACKEND_PORT", "0", "1 to 65535")]
    #[case("USE_WATCH", "maybe", "true or false")]
    #[case("LOG_LEVEL", "loud", "debug, info, warn or error")]
    #[case("LOG_FORMAT", "xml", "json or text")]
    #[case("ILB_ENTRY_POINT", "a b", "entry point")]
    #[case("ILB_TERMINATION_DELAY", "x", "500ms")]
    #[case("ILB_ADMIN_ADDRESS", ":8081", "0.0.0.0:8081")]
    fn a_wrong_value_is_named_with_the_accepted_form(#[case] name: &str, #[case] value: &str, #[case] form: &str) {
        let error = settings(&[("POD_LABELS", "app=a"), (name, value)]).unwrap_err();
        assert!(error.contains(name) && error.contains(value) && error.contains(form), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }

    #[rstest]
    #[case(&[])]
    #[case(&[("POD_LABELS", "")])]
    fn a_missing_selector_is_named_with_the_accepted_form(#[case] vars: &[(&str, &str)]) {
        assert_eq!(
            settings(vars).unwrap_err(),
            "ilb: POD_LABELS is not set: give a label selector such as app=my-app\n"
        );
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        let error = settings(&[("LB_METHOD", "x"), ("LOG_LEVEL", "y"), ("ILB_ENTRYPOINT", "tcp")]).unwrap_err();
        assert_eq!(error.lines().count(), 4, "{error}");
        assert!(error.contains("ILB_ENTRYPOINT is not a setting"), "{error}");
    }

    #[test]
    fn variables_that_a_service_named_ilb_causes_are_no_mistake() {
        let links = [("POD_LABELS", "a=b"), ("ILB_SERVICE_HOST", "10.0.0.1"), ("ILB_PORT_3333_TCP_ADDR", "10.0.0.1")];
        settings(&links).unwrap();
    }
}
