//! Thousands of pods, each about as large as a pod in production.

use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt, stream};
use ilb_testbed::{ApiServer, Pods, Readiness, pod_ip};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, api::PostParams};
use serde_json::{Value, json};

/// Creates `count` ready pods. Returns the size of one as JSON, in bytes.
pub(crate) async fn create(api_server: &ApiServer, pods: &Pods, count: u16) -> anyhow::Result<usize> {
    let api = Api::<Pod>::namespaced(api_server.client(), pods.namespace());
    let create = |index: u16| {
        let (api, pods) = (api.clone(), pods.clone());
        async move {
            let name = name(index);
            api.create(&PostParams::default(), &serde_json::from_value(pod(&name))?).await?;
            pods.set_status(&name, pod_ip(index), Readiness::Ready).await
        }
    };
    stream::iter(0..count).map(create).buffer_unordered(16).try_collect::<()>().await?;
    Ok(text(&api_server.client(), pods.namespace()).await?.len())
}

/// Returns the first pod as the API server sends it.
pub(crate) async fn text(client: &Client, namespace: &str) -> anyhow::Result<String> {
    let path = format!("/api/v1/namespaces/{namespace}/pods/{}", name(0));
    client.request_text(http::Request::get(path).body(Vec::new())?).await.context("no first pod")
}

/// Returns the name of pod `index`.
pub(crate) fn name(index: u16) -> String {
    format!("my-application-7d4b9c8f6d-{index:05}")
}

fn pod(name: &str) -> Value {
    let variables: Vec<_> = (0..6)
        .map(|n| json!({"name": format!("MY_APPLICATION_SETTING_{n}"), "value": format!("the value of setting {n}")}))
        .collect();
    let probe = json!({"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 5});
    let container = |name: &str| {
        json!({
            "name": name,
            "image": format!("registry.example.com/team/{name}:1.2.3"),
            "env": variables,
            "ports": [{"name": "sql", "containerPort": 5432}, {"name": "metrics", "containerPort": 9090}],
            "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
            "readinessProbe": probe,
            "livenessProbe": probe,
            "volumeMounts": [{"name": "settings", "mountPath": "/etc/my-application"}],
        })
    };
    json!({
        "metadata": {
            "name": name,
            "labels": {"app": "backend", "app.kubernetes.io/part-of": "my-application", "pod-template-hash": "7d4b9c8f6d"},
            "annotations": {"example.com/checksum": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"},
        },
        "spec": {
            "nodeName": "nowhere",
            "containers": [container("database"), container("exporter")],
            "volumes": [{"name": "settings", "configMap": {"name": "settings"}}],
        },
    })
}
