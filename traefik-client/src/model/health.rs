use std::{num::NonZeroU16, time::Duration};

use serde::{Deserialize, Serialize};

use crate::TraefikDuration;

/// How Traefik checks servers: it connects, and where told so sends a text and expects exactly one answer.
///
/// Traefik has it since 3.6; an older one drops it, which [`apply`](crate::ConfigSink::apply) reports. Every change of
/// the configuration takes all servers for healthy again until the next check.
///
/// Without a timeout each check would fail and each server be down, so there is none without:
///
/// ```compile_fail
/// use std::time::Duration;
///
/// use ilb_traefik_client::HealthCheck;
///
/// HealthCheck::new(Duration::from_secs(10));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", try_from = "Raw")]
pub struct HealthCheck {
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<NonZeroU16>,
    #[serde(skip_serializing_if = "String::is_empty")]
    send: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    expect: String,
    interval: TraefikDuration,
    #[serde(skip_serializing_if = "Option::is_none")]
    unhealthy_interval: Option<TraefikDuration>,
    timeout: TraefikDuration,
}

impl HealthCheck {
    /// Every `interval`, for at most `timeout`, which is shorter.
    pub fn new(interval: Duration, timeout: Duration) -> Result<Self, InvalidHealthCheck> {
        let (interval, timeout) = (TraefikDuration::from(interval), TraefikDuration::from(timeout));
        if timeout >= interval {
            return Err(InvalidHealthCheck { interval, timeout });
        }
        Ok(Self { port: None, send: String::new(), expect: String::new(), interval, unhealthy_interval: None, timeout })
    }

    /// Connects to this port instead of the server's own.
    #[must_use]
    pub fn port(mut self, port: NonZeroU16) -> Self {
        self.port = Some(port);
        self
    }

    /// Sends `send` and is content only with `expect`; an empty text stands for none.
    #[must_use]
    pub fn exchange(mut self, send: impl Into<String>, expect: impl Into<String>) -> Self {
        (self.send, self.expect) = (send.into(), expect.into());
        self
    }

    /// The interval for a server that is down.
    #[must_use]
    pub fn unhealthy_interval(mut self, interval: Duration) -> Self {
        self.unhealthy_interval = Some(interval.into());
        self
    }
}

/// A check that would not be over when the next one is due.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a health check every {interval} needs a timeout that is shorter, not {timeout}")]
pub struct InvalidHealthCheck {
    interval: TraefikDuration,
    timeout: TraefikDuration,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    port: Option<NonZeroU16>,
    #[serde(default)]
    send: String,
    #[serde(default)]
    expect: String,
    interval: TraefikDuration,
    unhealthy_interval: Option<TraefikDuration>,
    timeout: TraefikDuration,
}

impl TryFrom<Raw> for HealthCheck {
    type Error = InvalidHealthCheck;

    fn try_from(raw: Raw) -> Result<Self, InvalidHealthCheck> {
        let Raw { port, send, expect, interval, unhealthy_interval, timeout } = raw;
        Ok(Self { port, send, expect, unhealthy_interval, ..Self::new(interval.into(), timeout.into())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_that_outlasts_its_interval_is_refused() {
        let second = Duration::from_secs(1);
        assert!(HealthCheck::new(second, second).is_err());
        assert!(HealthCheck::new(second, second / 2).is_ok());
    }

    #[test]
    fn a_check_without_timeout_is_not_read() {
        assert!(serde_json::from_str::<HealthCheck>(r#"{"interval":"1s"}"#).is_err());
    }
}
