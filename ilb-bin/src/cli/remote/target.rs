//! The name by which a command is given the replicas to ask.

use std::str::FromStr;

use anyhow::{bail, ensure};

use crate::wiring::objects::is_name;

/// Pods that a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Pod(String),
    Workload(Workload, String),
    /// Release of the chart.
    Release(String),
    /// A release, or else a pod or a workload of this name.
    Any(String),
}

/// Kind of an object that has pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Workload {
    Deployment,
    DaemonSet,
    StatefulSet,
}

/// Words for each kind, as kubectl accepts them; the first is the one of messages.
const WORKLOADS: [(Workload, &[&str]); 3] = [
    (Workload::Deployment, &["deployment", "deploy", "deployments", "deployment.apps", "deployments.apps"]),
    (Workload::DaemonSet, &["daemonset", "ds", "daemonsets", "daemonset.apps", "daemonsets.apps"]),
    (Workload::StatefulSet, &["statefulset", "sts", "statefulsets", "statefulset.apps", "statefulsets.apps"]),
];

impl Workload {
    /// All kinds, the likeliest first.
    pub(super) const ALL: [Self; 3] = [Self::Deployment, Self::DaemonSet, Self::StatefulSet];

    /// Returns the word for it in messages.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::DaemonSet => "daemonset",
            Self::StatefulSet => "statefulset",
        }
    }
}

impl FromStr for Target {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (kind, name) = text.split_once('/').map_or((None, text), |(kind, name)| (Some(kind), name));
        ensure!(is_name(name), "{name:?} is not the name of an object: give one such as deploy/my-lb");
        let name = name.to_owned();
        let Some(kind) = kind else { return Ok(Self::Any(name)) };
        let kind = kind.to_ascii_lowercase();
        Ok(match kind.as_str() {
            "pod" | "po" | "pods" => Self::Pod(name),
            "release" => Self::Release(name),
            _ => match WORKLOADS.iter().find(|(_, words)| words.contains(&kind.as_str())) {
                Some((workload, _)) => Self::Workload(*workload, name),
                None => bail!(
                    "{kind:?} is no kind that has replicas of ilb: give deploy/{name}, ds/{name}, sts/{name}, pod/{name}, \
                     release/{name}, or {name} alone"
                ),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("deploy/a", Target::Workload(Workload::Deployment, "a".to_owned()))]
    #[case("Deployments.apps/a", Target::Workload(Workload::Deployment, "a".to_owned()))]
    #[case("ds/a", Target::Workload(Workload::DaemonSet, "a".to_owned()))]
    #[case("statefulset/a", Target::Workload(Workload::StatefulSet, "a".to_owned()))]
    #[case("po/a-0", Target::Pod("a-0".to_owned()))]
    #[case("release/a", Target::Release("a".to_owned()))]
    #[case("a.b", Target::Any("a.b".to_owned()))]
    fn names_are_those_of_kubectl(#[case] text: &str, #[case] target: Target) {
        assert_eq!(text.parse::<Target>().unwrap(), target);
    }

    #[rstest]
    #[case("svc/a", "deploy/a")]
    #[case("deploy/", "is not the name of an object")]
    #[case("deploy/a/b", "is not the name of an object")]
    #[case("../a", "is no kind that has replicas")]
    fn other_names_are_refused_with_the_way_out(#[case] text: &str, #[case] said: &str) {
        let error = text.parse::<Target>().unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}
