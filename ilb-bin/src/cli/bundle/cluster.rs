//! What the API server tells of the replicas and their release.

use std::{collections::BTreeMap, time::Duration};

use kube::Client;
use serde_json::Value;
use tokio::time::timeout;

use super::{archive::Archive, redaction::redact};
use crate::{
    cli::remote::Pod,
    wiring::objects::{Unread, get, get_text, is_name, list, text, with_query},
};

/// Labels that the objects of a release have in common with its pods.
const LABELS: [&str; 2] = ["app.kubernetes.io/name", "app.kubernetes.io/instance"];

/// Kinds of objects of a release: their path between the version and the namespace, and their name there.
const KINDS: [(&str, &str); 9] = [
    ("/apis/apps/v1", "deployments"),
    ("/apis/apps/v1", "daemonsets"),
    ("/apis/apps/v1", "statefulsets"),
    ("/apis/autoscaling/v2", "horizontalpodautoscalers"),
    ("/apis/policy/v1", "poddisruptionbudgets"),
    ("/apis/networking.k8s.io/v1", "networkpolicies"),
    ("/apis/discovery.k8s.io/v1", "endpointslices"),
    ("/api/v1", "services"),
    ("/api/v1", "configmaps"),
];

/// Number of lines of each log.
const LOG_LINES: &str = "5000";

/// Limit for the length of each log, in bytes.
const LOG_BYTES: &str = "4194304";

/// Maximum time for one question.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Adds the pods, their events and logs, and the objects of their releases.
pub(super) async fn collect(client: &Client, pods: &[&Pod], archive: &mut Archive) {
    archive.take("version.json", in_time(get(client, "/version")).await.map(json));
    let mut releases = BTreeMap::new();
    for pod in pods {
        let (folder, Pod { namespace, name, .. }) = (pod.folder(), pod);
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}");
        let events = with_query(
            &format!("/api/v1/namespaces/{namespace}/events"),
            &[("fieldSelector", &format!("involvedObject.name={name}")), ("limit", "500")],
        );
        archive.take(&format!("{folder}/kubernetes-events.json"), in_time(get(client, &events)).await.map(json));
        let object = in_time(get(client, &path)).await;
        if let Ok(object) = &object {
            collect_logs(client, object, &path, &folder, archive).await;
            if let Some((release, selector)) = release(object) {
                releases.insert((namespace.clone(), release), selector);
            }
        }
        archive.take(&format!("{folder}/pod.json"), object.map(json));
    }
    for ((namespace, release), selector) in releases {
        for (group, kind) in KINDS {
            let path = format!("{group}/namespaces/{namespace}/{kind}");
            let found = in_time(list(client, &path, Some(&selector))).await;
            if found.as_ref().is_ok_and(Vec::is_empty) {
                continue;
            }
            archive.take(&format!("{namespace}/release-{release}/{kind}.json"), found.map(Value::from).map(json));
        }
    }
}

/// Adds the log of each container, and that of the one before it if it was restarted.
async fn collect_logs(client: &Client, pod: &Value, path: &str, folder: &str, archive: &mut Archive) {
    let statuses = ["/status/containerStatuses", "/status/initContainerStatuses"].map(|place| pod.pointer(place));
    for status in statuses.into_iter().flatten().filter_map(Value::as_array).flatten() {
        let Some(name) = text(status, "/name").filter(|name| is_name(name)) else { continue };
        let restarts = status.get("restartCount").and_then(Value::as_u64).unwrap_or_default();
        let logs = [(".log", "false")].into_iter().chain((restarts > 0).then_some((".previous.log", "true")));
        for (ending, previous) in logs {
            let query = [
                ("container", name),
                ("previous", previous),
                ("tailLines", LOG_LINES),
                ("limitBytes", LOG_BYTES),
                ("timestamps", "true"),
            ];
            let log = in_time(get_text(client, &with_query(&format!("{path}/log"), &query))).await;
            archive.take(&format!("{folder}/{name}{ending}"), log.map(String::into_bytes));
        }
    }
}

/// Returns the name of the release of a pod, and the selector of all its objects: both labels, since objects of other
/// charts may have that of the release, too.
fn release(pod: &Value) -> Option<(String, String)> {
    let labels = pod.pointer("/metadata/labels")?;
    let [name, instance] = LABELS.map(|label| labels.get(label).and_then(Value::as_str));
    let (name, instance) = (name?, instance?);
    Some((instance.to_owned(), format!("{}={name},{}={instance}", LABELS[0], LABELS[1])))
}

/// Returns the answer to a question, or why there is none.
async fn in_time<T>(question: impl Future<Output = Result<T, Unread>>) -> Result<T, String> {
    match timeout(TIMEOUT, question).await {
        Ok(answer) => answer.map_err(|unread| unread.reason()),
        Err(_) => Err(format!("the API server did not answer within {} s", TIMEOUT.as_secs())),
    }
}

/// Writes an object without what may be a secret.
fn json(mut object: Value) -> Vec<u8> {
    redact(&mut object);
    format!("{object:#}\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::wiring::objects::testing::api_server;

    #[tokio::test]
    async fn pods_logs_and_the_objects_of_the_release_are_collected_as_far_as_they_may_be_read() {
        let selector = "app.kubernetes.io%2Fname%3Dilb%2Capp.kubernetes.io%2Finstance%3Dlb";
        let of_release = |path: &str| format!("GET {path}?limit=500&labelSelector={selector}");
        let pod = json!({
            "metadata": {"name": "lb-0", "labels": {LABELS[0]: "ilb", LABELS[1]: "lb"}},
            "spec": {"containers": [{"env": [{"name": "TOKEN", "value": "hidden"}]}]},
            "status": {
                "containerStatuses": [{"name": "ilb", "restartCount": 1}, {"name": "../x", "restartCount": 0}],
                "initContainerStatuses": [{"name": "traefik", "restartCount": 0}],
            },
        });
        let log = |container: &str, previous: bool| {
            let (lines, bytes) = (LOG_LINES, LOG_BYTES);
            let query = format!("container={container}&previous={previous}&tailLines={lines}&limitBytes={bytes}");
            format!("GET /api/v1/namespaces/apps/pods/lb-0/log?{query}&timestamps=true")
        };
        let events = "GET /api/v1/namespaces/apps/events?fieldSelector=involvedObject.name%3Dlb-0&limit=500";
        let answers = [
            ("GET /version", json!({"gitVersion": "v1.34.4"})),
            ("GET /api/v1/namespaces/apps/pods/lb-0", pod),
            (events, json!({"items": []})),
            (&log("ilb", false), json!("now")),
            (&log("ilb", true), json!("before")),
            (&log("traefik", false), json!(403)),
            (&of_release("/apis/apps/v1/namespaces/apps/deployments"), json!({"items": [{"kind": "Deployment"}]})),
            (&of_release("/apis/apps/v1/namespaces/apps/daemonsets"), json!({"items": []})),
        ];
        let pod = Pod {
            namespace: "apps".to_owned(),
            name: "lb-0".to_owned(),
            node: None,
            release: Some("lb".to_owned()),
            is_leaving: false,
            phase: "Running".to_owned(),
            port: 8081,
        };
        let mut archive = Archive::new(Timestamp::UNIX_EPOCH);
        collect(&api_server(&answers), &[&pod], &mut archive).await;
        let files = archive.files();
        let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
        let expected = [
            "version.json",
            "apps/lb-0/kubernetes-events.json",
            "apps/lb-0/ilb.log",
            "apps/lb-0/ilb.previous.log",
            "apps/lb-0/pod.json",
            "apps/release-lb/deployments.json",
        ];
        assert_eq!(names, expected);
        assert!(!files.iter().any(|(_, content)| String::from_utf8_lossy(content).contains("hidden")));
        let problems = archive.problems().join("\n");
        assert!(problems.contains("apps/lb-0/traefik.log: GET"), "{problems}");
        assert!(problems.contains("apps/release-lb/statefulsets.json: it does not exist"), "{problems}");
    }
}
