//! Parsers of single values. Their errors complete a message of the form "NAME=VALUE cannot be used (…)".

use std::{error::Error, num::NonZeroUsize, path::PathBuf, str::FromStr, time::Duration};

use anyhow::{Context, anyhow, ensure};
use ilb_controller::Shares;
use ilb_discovery::{Families, PodRef, ServiceName, ipnet::IpNet};
use ilb_reconciler::{Method, least_connections::Overflow};
use ilb_traefik_client::{ProxyProtocol, Traefik, client::BuildError, fleet::Quorum};
use tracing_subscriber::filter::LevelFilter;

use super::duration;
use crate::process::logging::LogFormat;

/// Parses with the type's own [`FromStr`].
pub(super) fn parsed<T: FromStr<Err: Error + Send + Sync + 'static>>(text: &str) -> anyhow::Result<T> {
    Ok(text.parse()?)
}

/// Takes any text but the empty one.
pub(super) fn non_empty(text: &str) -> anyhow::Result<String> {
    ensure!(!text.is_empty(), "it is empty");
    Ok(text.to_owned())
}

/// Takes the name of an object of Kubernetes.
pub(super) fn object_name(text: &str) -> anyhow::Result<String> {
    PodRef::try_new(text, text)?;
    Ok(text.to_owned())
}

/// Takes any path; the file need not exist yet.
pub(super) fn path(text: &str) -> anyhow::Result<PathBuf> {
    non_empty(text).map(PathBuf::from)
}

/// Takes the words that the predecessor took.
pub(super) fn boolean(text: &str) -> anyhow::Result<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(anyhow!("not a boolean")),
    }
}

/// Longest duration: longer than makes sense, and short enough to be added to any clock.
const MAX_DURATION: Duration = Duration::from_secs(8760 * 3600);

/// Longest interval, for the same reasons.
const MAX_INTERVAL: Duration = Duration::from_secs(24 * 3600);

/// Longest time of a request to Traefik: whoever waits for longer does not notice for as long that Traefik is gone.
const MAX_TRAEFIK_TIMEOUT: Duration = Duration::from_secs(300);

/// Takes a duration that is longer than zero and at most [`MAX_INTERVAL`].
pub(super) fn interval(text: &str) -> anyhow::Result<Duration> {
    let interval = positive_duration(text)?;
    ensure!(interval <= MAX_INTERVAL, "it must be at most 24h");
    Ok(interval)
}

/// Takes a duration that is longer than zero and at most [`MAX_TRAEFIK_TIMEOUT`].
pub(super) fn traefik_timeout(text: &str) -> anyhow::Result<Duration> {
    let timeout = positive_duration(text)?;
    ensure!(timeout <= MAX_TRAEFIK_TIMEOUT, "it must be at most 5m");
    Ok(timeout)
}

/// Takes a duration that is longer than zero and at most [`MAX_DURATION`].
pub(super) fn positive_duration(text: &str) -> anyhow::Result<Duration> {
    let duration = duration(text)?;
    ensure!(!duration.is_zero(), "it must be longer than 0s");
    Ok(duration)
}

/// Takes a duration of at most [`MAX_DURATION`], also zero.
pub(super) fn duration(text: &str) -> anyhow::Result<Duration> {
    let duration = duration::parse(text)?;
    ensure!(duration <= MAX_DURATION, "it must be at most 8760h");
    Ok(duration)
}

pub(super) fn method(text: &str) -> anyhow::Result<Method> {
    let methods = [Method::LeastConnections, Method::RoundRobin];
    methods.into_iter().find(|method| method.as_str() == text).context("unknown method")
}

pub(super) fn shares(text: &str) -> anyhow::Result<Shares> {
    match text {
        "annotation" => Ok(Shares::ByCapacity),
        "equal" => Ok(Shares::Equal),
        _ => Err(anyhow!("unknown option")),
    }
}

pub(super) fn families(text: &str) -> anyhow::Result<Families> {
    match text {
        "prefer-ipv4" => Ok(Families::PreferIpv4),
        "prefer-ipv6" => Ok(Families::PreferIpv6),
        "only-ipv4" => Ok(Families::OnlyIpv4),
        "only-ipv6" => Ok(Families::OnlyIpv6),
        _ => Err(anyhow!("unknown option")),
    }
}

/// Takes `all`, or a number of instances.
pub(super) fn quorum(text: &str) -> anyhow::Result<Quorum> {
    if text == "all" {
        return Ok(Quorum::All);
    }
    Ok(Quorum::AtLeast(text.parse::<NonZeroUsize>()?.get()))
}

pub(super) fn network(text: &str) -> anyhow::Result<IpNet> {
    text.parse().map_err(|_| anyhow!("not a network in CIDR notation"))
}

pub(super) fn proxy_protocol(text: &str) -> anyhow::Result<ProxyProtocol> {
    match text {
        "1" => Ok(ProxyProtocol::V1),
        "2" => Ok(ProxyProtocol::V2),
        _ => Err(anyhow!("unknown version")),
    }
}

/// Takes the name of a Service.
pub(super) fn service_name(text: &str) -> anyhow::Result<String> {
    Ok(text.parse::<ServiceName>()?.to_string())
}

/// Takes the name of a host, without a scheme or a port.
pub(super) fn host_name(text: &str) -> anyhow::Result<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    ensure!(!text.is_empty() && text.chars().all(allowed), "a name has letters, digits, '-' and '.', and no port");
    Ok(text.to_owned())
}

/// Takes the URL of a Traefik, as the client does.
pub(super) fn traefik_url(text: &str) -> anyhow::Result<String> {
    // A client for https needs an authority too, which is another setting; the text obeys the same rules as one for http.
    let plain = text.strip_prefix("https://").map_or_else(|| text.to_owned(), |rest| format!("http://{rest}"));
    Traefik::try_new(&plain).map_err(|error| match error {
        // Only the problem: the accepted form follows in the same words for every setting.
        BuildError::Url(url) => anyhow!("{}", url.problem()),
        other => other.into(),
    })?;
    Ok(text.to_owned())
}

/// Takes a percentage from 1 to 100.
pub(super) fn percent(text: &str) -> anyhow::Result<u32> {
    whole_percent(text, 100)
}

/// Takes a percentage from 1 to 10 000.
pub(super) fn hourly_percent(text: &str) -> anyhow::Result<u32> {
    whole_percent(text, 10_000)
}

fn whole_percent(text: &str, max: u32) -> anyhow::Result<u32> {
    let number: u32 = text.strip_suffix('%').context("it needs a percent sign")?.parse()?;
    ensure!((1..=max).contains(&number), "it must be from 1% to {max}%");
    Ok(number)
}

/// Takes a percentage with at most one decimal from 0.1 to 100, as a number of thousandths.
pub(super) fn permille(text: &str) -> anyhow::Result<u32> {
    let number = text.strip_suffix('%').context("it needs a percent sign")?;
    let (whole, tenths) = number.split_once('.').unwrap_or((number, "0"));
    ensure!(tenths.len() == 1, "it has more than one decimal");
    let permille = whole.parse::<u16>()?.saturating_mul(10).saturating_add(tenths.parse()?);
    ensure!((1..=1000).contains(&permille), "it must be from 0.1% to 100%");
    Ok(permille.into())
}

/// Takes the maximum number of connections of a backend.
pub(super) fn max_connections(text: &str) -> anyhow::Result<u32> {
    Ok(text.parse::<std::num::NonZeroU32>()?.get())
}

pub(super) fn overflow(text: &str) -> anyhow::Result<Overflow> {
    match text {
        "refuse" => Ok(Overflow::Refuse),
        "spread" => Ok(Overflow::Spread),
        _ => Err(anyhow!("unknown option")),
    }
}

/// Takes whether a zone is preferred.
pub(super) fn zones(text: &str) -> anyhow::Result<bool> {
    match text {
        "prefer" => Ok(true),
        // Helm reads `off` without quotes as `false`.
        "off" | "false" => Ok(false),
        _ => Err(anyhow!("unknown option")),
    }
}

/// Takes a number of connections.
pub(super) fn count(text: &str) -> anyhow::Result<u32> {
    Ok(text.parse()?)
}

/// Takes a number of closings a second.
pub(super) fn rate(text: &str) -> anyhow::Result<u32> {
    let rate = text.parse()?;
    ensure!((1..=1000).contains(&rate), "it must be from 1 to 1000");
    Ok(rate)
}

/// Takes the age of a connection.
pub(super) fn max_age(text: &str) -> anyhow::Result<Duration> {
    let age = duration(text)?;
    ensure!(age >= Duration::from_secs(1), "it must be at least 1s");
    Ok(age)
}

/// Takes `close` as true.
pub(super) fn keep_or_close(text: &str) -> anyhow::Result<bool> {
    match text {
        "keep" => Ok(false),
        "close" => Ok(true),
        _ => Err(anyhow!("unknown option")),
    }
}

pub(super) fn log_level(text: &str) -> anyhow::Result<LevelFilter> {
    match text.to_ascii_lowercase().as_str() {
        "debug" => Ok(LevelFilter::DEBUG),
        "info" => Ok(LevelFilter::INFO),
        "warn" => Ok(LevelFilter::WARN),
        "error" => Ok(LevelFilter::ERROR),
        _ => Err(anyhow!("unknown level")),
    }
}

pub(super) fn log_format(text: &str) -> anyhow::Result<LogFormat> {
    match text.to_ascii_lowercase().as_str() {
        "json" => Ok(LogFormat::Json),
        "text" => Ok(LogFormat::Text),
        _ => Err(anyhow!("unknown format")),
    }
}
