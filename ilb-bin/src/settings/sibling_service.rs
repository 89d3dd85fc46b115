//! The Services whose endpoints are the siblings.

use std::{fmt, str::FromStr};

use anyhow::{Context, ensure};
use ilb_discovery::{BackendPort, ServiceName};

/// Service whose endpoints are the replicas of a release: `NAME`, `NAME:PORT` or `NAME.NAMESPACE:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SiblingService {
    pub(crate) name: String,
    /// Namespace of the Service; `None` for that of the process.
    pub(crate) namespace: Option<String>,
    /// Port at which the replicas answer; `None` for the one at which this process answers.
    pub(crate) port: Option<BackendPort>,
}

impl FromStr for SiblingService {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (service, port) = match text.split_once(':') {
            Some((service, port)) => (service, Some(port.parse::<BackendPort>()?)),
            None => (text, None),
        };
        let (name, namespace) = match service.split_once('.') {
            Some((name, namespace)) => (name, Some(namespace)),
            None => (service, None),
        };
        let name = name.parse::<ServiceName>()?.to_string();
        let namespace = namespace.map(|namespace| {
            let is_label = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            ensure!(!namespace.is_empty() && namespace.chars().all(is_label), "{namespace:?} is not a namespace");
            Ok(namespace.to_owned())
        });
        Ok(Self { name, namespace: namespace.transpose().context("after the dot")?, port })
    }
}

impl fmt::Display for SiblingService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(namespace) = &self.namespace {
            write!(f, ".{namespace}")?;
        }
        match &self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("ilb-siblings", None, None)]
    #[case("ilb-siblings:8081", None, Some("8081"))]
    #[case("ilb-siblings:admin", None, Some("admin"))]
    #[case("ilb-siblings.shop:admin", Some("shop"), Some("admin"))]
    #[case("ilb-siblings.shop", Some("shop"), None)]
    fn a_service_may_have_a_namespace_and_a_port(
        #[case] text: &str,
        #[case] namespace: Option<&str>,
        #[case] port: Option<&str>,
    ) {
        let service: SiblingService = text.parse().unwrap();
        assert_eq!(service.name, "ilb-siblings");
        assert_eq!(service.namespace.as_deref(), namespace);
        assert_eq!(service.port.as_ref().map(ToString::to_string).as_deref(), port);
        assert_eq!(service.to_string(), text);
    }

    #[rstest]
    #[case("")]
    #[case("Siblings")]
    #[case("siblings:")]
    #[case("siblings:0")]
    #[case("siblings.")]
    #[case("siblings.shop.svc")]
    #[case("http://siblings:8081")]
    fn nothing_else_is_one(#[case] text: &str) {
        assert!(text.parse::<SiblingService>().is_err());
    }
}
