//! The forms in which single values are written.

use std::{str::FromStr, time::Duration};

use ilb_discovery::{Families, ipnet::IpNet};
use ilb_traefik_client::{BuildError, ProxyProtocol, Traefik};
use tracing_subscriber::filter::LevelFilter;

use super::{Capacities, Method};
use crate::process::logging::LogFormat;

/// What its type reads by itself.
pub(super) fn parsed<T: FromStr>(text: &str) -> Result<T, T::Err> {
    text.parse()
}

pub(super) fn some_text(text: &str) -> Result<String, &'static str> {
    if text.is_empty() { Err("it is empty") } else { Ok(text.to_owned()) }
}

pub(super) fn boolean(text: &str) -> Result<bool, &'static str> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err("it is neither"),
    }
}

/// Go's form of a duration, as the Go program before this one read it.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let duration = duration_or_zero(text)?;
    if duration.is_zero() { Err("it is not positive".to_owned()) } else { Ok(duration) }
}

pub(super) fn duration_or_zero(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<kube::core::Duration>().map_err(|e| e.to_string())?;
    if parsed.is_negative() { Err("it is not positive".to_owned()) } else { Ok(parsed.into()) }
}

pub(super) fn method(text: &str) -> Result<Method, &'static str> {
    match text {
        "leastconn" => Ok(Method::LeastConnections),
        "roundrobin" => Ok(Method::RoundRobin),
        _ => Err("no such method"),
    }
}

pub(super) fn capacities(text: &str) -> Result<Capacities, &'static str> {
    match text {
        "annotation" => Ok(Capacities::OfBackends),
        "equal" => Ok(Capacities::Equal),
        _ => Err("it is neither"),
    }
}

pub(super) fn families(text: &str) -> Result<Families, &'static str> {
    match text {
        "prefer-ipv4" => Ok(Families::PreferIpv4),
        "prefer-ipv6" => Ok(Families::PreferIpv6),
        "only-ipv4" => Ok(Families::OnlyIpv4),
        "only-ipv6" => Ok(Families::OnlyIpv6),
        _ => Err("no such choice"),
    }
}

pub(super) fn network(text: &str) -> Result<IpNet, String> {
    text.parse().map_err(|_| "it is no network".to_owned())
}

pub(super) fn proxy_protocol(text: &str) -> Result<ProxyProtocol, &'static str> {
    match text {
        "1" => Ok(ProxyProtocol::V1),
        "2" => Ok(ProxyProtocol::V2),
        _ => Err("no such version"),
    }
}

pub(super) fn traefik_url(text: &str) -> Result<String, String> {
    // An https one needs more than its text to become a client; what can be wrong with the text is the same.
    let plain = text.strip_prefix("https://").map_or_else(|| text.to_owned(), |rest| format!("http://{rest}"));
    Traefik::new(&plain).map(|_| text.to_owned()).map_err(|error| match error {
        // The way out is told for every setting in the same words.
        BuildError::Url(url) => url.problem().to_owned(),
        other => other.to_string(),
    })
}

pub(super) fn log_level(text: &str) -> Result<LevelFilter, &'static str> {
    match text.to_ascii_lowercase().as_str() {
        "debug" => Ok(LevelFilter::DEBUG),
        "info" => Ok(LevelFilter::INFO),
        "warn" => Ok(LevelFilter::WARN),
        "error" => Ok(LevelFilter::ERROR),
        _ => Err("no such level"),
    }
}

pub(super) fn log_format(text: &str) -> Result<LogFormat, &'static str> {
    match text.to_ascii_lowercase().as_str() {
        "json" => Ok(LogFormat::Json),
        "text" => Ok(LogFormat::Text),
        _ => Err("no such format"),
    }
}
