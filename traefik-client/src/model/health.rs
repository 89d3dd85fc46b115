//! Health checks of servers by Traefik.

use std::{num::NonZeroU16, time::Duration};

use serde::{Deserialize, Serialize};

use super::TraefikDuration;

/// Health check of servers: Traefik connects, and if configured sends a text and expects exactly one answer.
///
/// Traefik 3.6 and later have it. An older one drops it, which `ConfigSink::apply` reports. After each change of the
/// configuration, Traefik considers all servers healthy until the next check.
///
/// Without a timeout each check would fail and each server would be down, so the timeout cannot be left out:
///
/// ```compile_fail
/// use std::time::Duration;
///
/// use ilb_traefik_client::model::HealthCheck;
///
/// HealthCheck::try_new(Duration::from_secs(10));
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
    /// Creates a check at each `interval` that takes at most `timeout`, which is shorter.
    pub fn try_new(interval: Duration, timeout: Duration) -> Result<Self, InvalidHealthCheck> {
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

    /// Sends the text `send` and requires the answer `expect`; an empty text means none.
    #[must_use]
    pub fn exchange(mut self, send: impl Into<String>, expect: impl Into<String>) -> Self {
        (self.send, self.expect) = (send.into(), expect.into());
        self
    }

    /// Sets the interval for a server that is down.
    #[must_use]
    pub fn unhealthy_interval(mut self, interval: Duration) -> Self {
        self.unhealthy_interval = Some(interval.into());
        self
    }
}

/// A health check that may still run when the next one is due.
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
        Ok(Self { port, send, expect, unhealthy_interval, ..Self::try_new(interval.into(), timeout.into())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_that_outlasts_its_interval_is_refused() {
        let second = Duration::from_secs(1);
        assert!(HealthCheck::try_new(second, second).is_err());
        assert!(HealthCheck::try_new(second, second / 2).is_ok());
    }

    #[test]
    fn a_check_without_timeout_is_not_read() {
        assert!(serde_json::from_str::<HealthCheck>(r#"{"interval":"1s"}"#).is_err());
    }
}
