//! Checks of an installed release: its replicas, its disruption budget, its grace period, and what its pods say.

use anyhow::{Context, anyhow};
use kube::Client;
use serde_json::Value;

use super::finding::{Check, Findings, Level};
use crate::{
    cli::together::Answer,
    observe::insight::{Severity, Status},
    wiring::{
        Cluster,
        objects::{Unread, list, text},
    },
};

/// Grace period, in seconds, that Kubernetes gives a pod without one of its own.
const DEFAULT_GRACE_SECONDS: u64 = 30;

/// Reads the settings of a release, which are in one of its `ConfigMap`s.
pub(super) async fn settings(client: &Client, namespace: &str, release: &str) -> anyhow::Result<String> {
    let path = format!("/api/v1/namespaces/{namespace}/configmaps");
    let found = list(client, &path, Some(&format!("app.kubernetes.io/instance={release}"))).await;
    let found =
        found.map_err(|unread| anyhow!("cannot read the settings of the release {release}: {}", unread.reason()))?;
    let settings = found.iter().find_map(|map| map.pointer("/data")?.get("ilb.yaml")?.as_str());
    settings.map(str::to_owned).with_context(|| {
        format!("no ConfigMap of a release {release} in {namespace} has settings: give them by --config, or name another release")
    })
}

/// Checks the objects of a release.
pub(super) async fn objects(cluster: &Cluster, namespace: &str, release: &str, findings: &mut Findings) {
    let labels = format!("app.kubernetes.io/instance={release}");
    let listed = async |path: String| list(&cluster.client, &path, Some(&labels)).await;
    let mut workloads = Vec::new();
    for kind in ["deployments", "daemonsets"] {
        match listed(format!("/apis/apps/v1/namespaces/{namespace}/{kind}")).await {
            Ok(found) => workloads.extend(found.into_iter().filter(runs_ilb)),
            Err(unread) => return unknown(Check::Replicas, &unread, findings),
        }
    }
    let Some(workload) = workloads.first() else {
        return findings.failure(
            Check::Replicas,
            format!("there is no release {release} in {namespace} (no workload has the label {labels})"),
        );
    };
    replicas(workload, findings);
    match listed(format!("/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets")).await {
        Ok(budgets) => budget(workload, &budgets, findings),
        Err(unread) => unknown(Check::Budget, &unread, findings),
    }
    grace_period(workload, findings);
}

fn unknown(check: Check, unread: &Unread, findings: &mut Findings) {
    findings.warning(check, format!("not known: {}", unread.reason()));
}

fn runs_ilb(workload: &Value) -> bool {
    let lists = ["/spec/template/spec/containers", "/spec/template/spec/initContainers"];
    let mut containers = lists.iter().filter_map(|place| workload.pointer(place)?.as_array()).flatten();
    containers.any(|container| text(container, "/name") == Some("ilb"))
}

fn number(object: &Value, place: &str) -> Option<u64> {
    object.pointer(place).and_then(Value::as_u64)
}

/// Returns the number of pods that a workload should have.
fn wanted(workload: &Value) -> u64 {
    number(workload, "/spec/replicas").or_else(|| number(workload, "/status/desiredNumberScheduled")).unwrap_or(0)
}

fn replicas(workload: &Value, findings: &mut Findings) {
    let wanted = wanted(workload);
    let ready =
        number(workload, "/status/readyReplicas").or_else(|| number(workload, "/status/numberReady")).unwrap_or(0);
    let (level, more) = match (ready, wanted) {
        (0, _) => (Level::Failure, ": nobody is served"),
        (ready, wanted) if ready < wanted => (Level::Warning, ""),
        (1, _) => (Level::Warning, ": with a second one (replicaCount), clients can connect while this one is moved"),
        _ => (Level::Ok, ""),
    };
    findings.push(Check::Replicas, level, format!("{ready} of {wanted} replicas are ready{more}"));
}

fn budget(workload: &Value, budgets: &[Value], findings: &mut Findings) {
    let Some(budget) = budgets.first() else {
        let (level, text) = match wanted(workload) {
            0 | 1 => (Level::Ok, "no disruption budget, which would do nothing for a single replica"),
            _ => (
                Level::Warning,
                "no disruption budget: a drain of nodes may end all replicas at once (podDisruptionBudget)",
            ),
        };
        return findings.push(Check::Budget, level, text);
    };
    let (name, allowed) =
        (text(budget, "/metadata/name").unwrap_or_default(), number(budget, "/status/disruptionsAllowed"));
    match allowed {
        Some(0) => findings.warning(
            Check::Budget,
            format!("the disruption budget {name} allows none now: a drain of a node with a replica waits"),
        ),
        Some(allowed) => {
            findings.ok(Check::Budget, format!("the disruption budget {name} allows to end {allowed} at a time"));
        }
        None => findings.ok(Check::Budget, format!("the disruption budget {name} exists")),
    }
}

/// Compares the grace period with the time that Traefik needs to drain, which is the end of its pre-stop pause and its own
/// grace period.
fn grace_period(workload: &Value, findings: &mut Findings) {
    let grace = number(workload, "/spec/template/spec/terminationGracePeriodSeconds").unwrap_or(DEFAULT_GRACE_SECONDS);
    if grace <= DEFAULT_GRACE_SECONDS {
        findings.warning(
            Check::GracePeriod,
            format!("{grace} s after a pod is deleted, its connections are cut: give drain.timeout what sessions need"),
        );
    } else {
        findings.ok(Check::GracePeriod, format!("connections of a deleted pod may go on for up to {grace} s"));
    }
}

/// Reports what running replicas say of Traefik, the counting, the closer and themselves.
pub(super) fn running(answers: &[Answer], findings: &mut Findings) {
    for answer in answers {
        let (pod, leaving) = (&answer.pod, if answer.leaving { ", which is leaving" } else { "" });
        let Some(status) = &answer.status else {
            let level = if answer.leaving { Level::Warning } else { Level::Failure };
            let problem = answer.problem.as_deref().unwrap_or_default();
            findings.push(Check::Running, level, format!("{pod}{leaving} does not answer: {problem}"));
            continue;
        };
        let level = match status.summary.severity {
            Severity::Ok => Level::Ok,
            _ if !status.ready && !answer.leaving => Level::Failure,
            _ => Level::Warning,
        };
        findings.push(
            Check::Running,
            level,
            format!("{pod}{leaving}, ilb {}: {}", status.version, status.summary.text),
        );
        of_replica(pod, status, findings);
    }
    let versions = versions(answers);
    if versions.len() > 1 {
        findings
            .warning(Check::Running, format!("the replicas have different versions of ilb: {}", versions.join(", ")));
    }
}

fn versions(answers: &[Answer]) -> Vec<String> {
    let mut versions: Vec<_> =
        answers.iter().filter_map(|answer| Some(answer.status.as_ref()?.version.clone())).collect();
    versions.sort();
    versions.dedup();
    versions
}

fn of_replica(pod: &str, status: &Status, findings: &mut Findings) {
    let traefik = &status.traefik;
    let version = traefik.version.as_deref().map(|version| format!(" {version}")).unwrap_or_default();
    let summary = &traefik.summary;
    let level = if summary.severity == Severity::Ok { Level::Ok } else { Level::Failure };
    findings.push(Check::Traefik, level, format!("{pod}, Traefik{version}: {}", summary.text));
    if traefik.has_rival {
        findings.failure(Check::OtherWriters, format!("{pod}: another program writes to this Traefik"));
    } else {
        findings.ok(Check::OtherWriters, format!("{pod}: only ilb writes to this Traefik"));
    }
    for pool in &status.pools {
        let level = if pool.balancing.severity == Severity::Ok { Level::Ok } else { Level::Warning };
        let summary = &pool.balancing;
        findings.push(
            Check::Counting,
            level,
            format!("{pod}, pool {}: {}, {}", pool.name, summary.text, summary.detail),
        );
    }
    if let Some(closer) = &status.closer {
        let level = if closer.summary.severity == Severity::Ok { Level::Ok } else { Level::Failure };
        findings.push(Check::Closer, level, format!("{pod}: {}", closer.summary.text));
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::wiring::objects::testing::api_server;

    fn cluster(workload: &Value, budgets: &Value) -> Cluster {
        let path = |group: &str, kind: &str| {
            format!(
                "GET /apis/{group}/v1/namespaces/apps/{kind}?limit=500&labelSelector=app.kubernetes.io%2Finstance%3Dlb"
            )
        };
        let client = api_server(&[
            (&path("apps", "deployments"), workload.clone()),
            (&path("apps", "daemonsets"), json!({"items": []})),
            (&path("policy", "poddisruptionbudgets"), budgets.clone()),
        ]);
        Cluster { client, namespace: "apps".to_owned(), server: String::new(), is_own: false }
    }

    fn workload(replicas: u64, ready: u64, grace: u64) -> Value {
        json!({"items": [{
            "spec": {"replicas": replicas, "template": {"spec": {
                "terminationGracePeriodSeconds": grace,
                "containers": [{"name": "traefik"}],
                "initContainers": [{"name": "ilb"}],
            }}},
            "status": {"readyReplicas": ready},
        }]})
    }

    fn budgets(allowed: u64) -> Value {
        json!({"items": [{"metadata": {"name": "lb"}, "status": {"disruptionsAllowed": allowed}}]})
    }

    #[rstest]
    #[case::well(workload(3, 3, 320), budgets(1), [Level::Ok; 3])]
    #[case::one(workload(1, 1, 320), json!({"items": []}), [Level::Warning, Level::Ok, Level::Ok])]
    #[case::no_budget(workload(2, 2, 320), json!({"items": []}), [Level::Ok, Level::Warning, Level::Ok])]
    #[case::no_disruption_allowed(workload(2, 1, 320), budgets(0), [Level::Warning, Level::Warning, Level::Ok])]
    #[case::short_grace_period(workload(2, 2, 30), json!(403), [Level::Ok, Level::Warning, Level::Warning])]
    #[case::nobody_is_served(workload(2, 0, 320), budgets(1), [Level::Failure, Level::Ok, Level::Ok])]
    #[tokio::test]
    async fn objects_of_a_release_are_judged(
        #[case] workload: Value,
        #[case] budgets: Value,
        #[case] levels: [Level; 3],
    ) {
        let mut findings = Findings::default();
        objects(&cluster(&workload, &budgets), "apps", "lb", &mut findings).await;
        let found: Vec<_> = findings.0.iter().map(|finding| finding.level).collect();
        assert_eq!(found, levels, "{findings:?}");
    }

    #[rstest]
    #[case::no_release(json!({"items": []}), Level::Failure, "there is no release lb in apps")]
    #[case::no_right(json!(403), Level::Warning, "not known")]
    #[tokio::test]
    async fn a_release_that_cannot_be_found_is_said(#[case] workload: Value, #[case] level: Level, #[case] said: &str) {
        let mut findings = Findings::default();
        objects(&cluster(&workload, &json!({})), "apps", "lb", &mut findings).await;
        assert!(findings.worst() == level && findings.0[0].text.contains(said), "{findings:?}");
    }
}
