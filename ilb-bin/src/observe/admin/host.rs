//! The hosts that a request may be for, by which the pages of other origins are kept out.

use std::{
    fs,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use axum::http::{HeaderMap, Uri, header::HOST};

/// Hosts that a request may name.
///
/// A page that a browser has loaded from elsewhere can make its own name resolve to the address of ilb, and is then allowed
/// to read what the browser gets from there ("DNS rebinding"). It cannot change the name in the request, though: it is one
/// that its author owns. So these are accepted: addresses; names that nobody outside can own, which are `localhost`,
/// names without a dot, and those of the cluster; the name of this host; and those that a setting allows.
#[derive(Clone, Debug)]
pub(super) struct AllowedHosts {
    /// Names of their own, in lower case.
    names: Arc<[String]>,
    /// Suffixes of names, with the leading dot, in lower case.
    suffixes: Arc<[String]>,
}

/// Domain of a cluster for which none is configured.
const DEFAULT_CLUSTER_DOMAIN: &str = "cluster.local";

impl AllowedHosts {
    /// Returns the hosts that this process may be asked for. `more` are those that the settings allow.
    pub(super) fn detect(more: &[String]) -> Self {
        let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let resolver = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        Self::new(&hostname, &resolver, more)
    }

    /// Returns the hosts of a pod with this name and this configuration of its resolver.
    fn new(hostname: &str, resolver: &str, more: &[String]) -> Self {
        let names = [hostname].into_iter().chain(more.iter().map(String::as_str)).map(normal).collect();
        let domain = cluster_domain(resolver).unwrap_or(DEFAULT_CLUSTER_DOMAIN);
        let suffixes = [".localhost".to_owned(), ".svc".to_owned(), format!(".svc.{}", normal(domain))].into();
        Self { names, suffixes }
    }

    /// Returns the host of a request that is not allowed, or `Ok` if it may be answered. A request without a host is not
    /// one of a browser.
    pub(super) fn check(&self, headers: &HeaderMap, uri: &Uri) -> Result<(), String> {
        let named = headers.get_all(HOST).iter().map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned());
        let mut hosts = named.chain(uri.authority().map(ToString::to_string));
        hosts.find(|host| !self.allows(host)).map_or(Ok(()), Err)
    }

    fn allows(&self, host: &str) -> bool {
        let Some(name) = without_port(host) else { return false };
        if is_address(name) {
            return true;
        }
        let name = normal(name);
        let is_outside = name.contains('.') && !self.suffixes.iter().any(|suffix| name.ends_with(suffix));
        is_name(&name) && (!is_outside || self.names.contains(&name))
    }
}

/// Returns the name that would have to be allowed for a request that names `host`; `None` if that is no name at all.
pub(super) fn name_to_allow(host: &str) -> Option<String> {
    without_port(host).map(normal).filter(|name| is_name(name))
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// Removes the port of `host`, if it has one; `None` if what follows the name is none.
fn without_port(host: &str) -> Option<&str> {
    let name_ends = if host.starts_with('[') { host.find(']')? + 1 } else { host.find(':').unwrap_or(host.len()) };
    let (name, port) = host.split_at_checked(name_ends)?;
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    (port.is_empty() || port.strip_prefix(':').is_some_and(is_port)).then_some(name)
}

fn is_address(name: &str) -> bool {
    match name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        // An address with a zone, such as `fe80::1%eth0`, is one too.
        Some(address) => address.split('%').next().is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
        None => name.parse::<IpAddr>().is_ok_and(|address| address.is_ipv4()),
    }
}

/// Returns a name as it is compared: in lower case, and without the dot that may end it.
fn normal(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// Returns the domain of the cluster, which the kubelet lists as `svc.DOMAIN` among those to search.
fn cluster_domain(resolver: &str) -> Option<&str> {
    let searched =
        resolver.lines().filter_map(|line| line.trim().strip_prefix("search")).flat_map(str::split_whitespace);
    searched.filter_map(|domain| domain.strip_prefix("svc.")).find(|domain| !domain.is_empty())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use rstest::rstest;

    use super::*;

    const RESOLVER: &str = "\
nameserver 10.96.0.10
search apps.svc.k8s.example.com svc.k8s.example.com k8s.example.com example.com
options ndots:5
";

    fn hosts() -> AllowedHosts {
        AllowedHosts::new("my-lb-7d4f", RESOLVER, &["ilb.example.com".to_owned(), "my-lb-metrics.apps".to_owned()])
    }

    fn check(host: &str) -> bool {
        let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_str(host).unwrap())]);
        hosts().check(&headers, &Uri::from_static("/status")).is_ok()
    }

    #[rstest]
    #[case::kubelet("10.1.2.3:8081")]
    #[case::without_a_port("10.1.2.3")]
    #[case::ipv6("[fd00::1]:8081")]
    #[case::ipv6_without_a_port("[::1]")]
    #[case::ipv6_with_a_zone("[fe80::1%25eth0]:8081")]
    #[case::port_forward("localhost:8081")]
    #[case::a_name_on_this_host("ilb.localhost:8081")]
    #[case::pod("my-lb-7d4f:8081")]
    #[case::service("my-lb-metrics:8081")]
    #[case::service_in_a_namespace("my-lb-metrics.apps.svc:8081")]
    #[case::service_in_the_cluster("my-lb-metrics.apps.svc.k8s.example.com:8081")]
    #[case::with_its_final_dot("my-lb-metrics.apps.svc.k8s.example.com.:8081")]
    #[case::pod_of_a_headless_service("pod-0.my-lb.apps.svc:8081")]
    #[case::in_capitals("LOCALHOST:8081")]
    #[case::by_a_setting("ilb.example.com")]
    #[case::short_name_by_a_setting("my-lb-metrics.apps:8081")]
    fn names_that_no_outsider_owns_are_allowed(#[case] host: &str) {
        assert!(check(host), "{host}");
    }

    #[rstest]
    #[case::another_domain("evil.example:8081")]
    #[case::below_an_allowed_one("evil.ilb.example.com")]
    #[case::above_an_allowed_one("example.com")]
    #[case::of_another_cluster("my-lb.apps.svc.evil.example")]
    #[case::a_short_name_of_a_service("my-lb.dev:8081")]
    #[case::like_an_address("10.1.2.3.evil.example:8081")]
    #[case::like_a_suffix("evil-svc.example")]
    #[case::nothing_before_the_suffix("evil.example/.svc")]
    #[case::user("localhost@evil.example")]
    #[case::no_port("localhost:80a")]
    #[case::open_bracket("[::1")]
    #[case::no_address("[evil.example]:8081")]
    #[case::bare_ipv6("fd00::1")]
    #[case::empty("")]
    #[case::only_a_port(":8081")]
    fn other_names_are_refused(#[case] host: &str) {
        assert!(!check(host), "{host}");
    }

    #[test]
    fn the_name_to_allow_has_no_port() {
        assert_eq!(name_to_allow("K8s.example:6443").as_deref(), Some("k8s.example"));
        assert_eq!(name_to_allow("k8s.example/<b>"), None);
    }

    #[test]
    fn every_host_of_a_request_has_to_be_allowed() {
        let check = |hosts: &[&'static str], uri| {
            let headers = hosts.iter().map(|host| (HOST, HeaderValue::from_static(host)));
            self::hosts().check(&headers.collect(), &Uri::from_static(uri))
        };
        assert_eq!(check(&[], "/status"), Ok(()), "HTTP/1.0");
        assert_eq!(check(&["localhost"], "http://localhost/status"), Ok(()));
        assert_eq!(check(&["localhost"], "http://evil.example/status"), Err("evil.example".to_owned()));
        assert_eq!(check(&["localhost", "evil.example"], "/status"), Err("evil.example".to_owned()));
    }

    #[test]
    fn without_a_configured_domain_the_usual_one_is_that_of_the_cluster() {
        let hosts = AllowedHosts::new("pod", "nameserver 8.8.8.8\n", &[]);
        assert!(hosts.allows("a.b.svc.cluster.local") && !hosts.allows("a.b.svc.k8s.example.com"));
    }
}
