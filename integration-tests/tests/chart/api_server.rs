//! A real API server accepts every object of the chart, in a namespace where only restricted pods may run.

use std::collections::BTreeSet;

use ilb_testbed::{ApiServer, Chart, Rendered, eventually};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams, ValidationDirective},
};
use serde_json::{Value, json};

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn every_object_of_every_example_is_accepted_where_only_restricted_pods_may_run() {
    let server = ApiServer::start().await.unwrap();
    let client = server.client();
    for (group, plural, kind) in [
        ("monitoring.coreos.com", "podmonitors", "PodMonitor"),
        ("monitoring.coreos.com", "servicemonitors", "ServiceMonitor"),
        ("monitoring.coreos.com", "prometheusrules", "PrometheusRule"),
    ] {
        define(&client, group, plural, kind).await;
    }
    for class in [
        json!({"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "gvisor"}, "handler": "gvisor"}),
    ] {
        create(&client, &class).await.unwrap();
    }
    let chart = Chart::new().unwrap();
    let mut namespaces = BTreeSet::new();
    for (name, values) in chart.features().unwrap() {
        let Some(rendered) = chart.render_unless_too_old(&values).unwrap() else { continue };
        for object in &rendered.objects {
            let namespace = object["metadata"]["namespace"].as_str().unwrap_or(Chart::NAMESPACE);
            if namespaces.insert(namespace.to_owned()) {
                restricted(&client, namespace).await;
            }
            would_accept(&client, object).await.unwrap_or_else(|error| panic!("{name}: {error:#}\n{object:#}"));
        }
        // A Deployment is never refused for its pods, so a pod is sent as well.
        let accepted = would_accept(&client, &pod(&rendered)).await;
        let refused = [("host-ports", "hostPort"), ("closing", "NET_ADMIN")];
        if let Some((_, reason)) = refused.iter().find(|(refused, _)| *refused == name) {
            let error = format!("{:#}", accepted.unwrap_err());
            assert!(error.contains("violates PodSecurity") && error.contains(reason), "{error}");
            continue;
        }
        accepted.unwrap_or_else(|error| panic!("{name}: {error:#}"));
    }
}

/// Shows that the test above can fail.
#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_pod_with_more_rights_and_an_unknown_field_are_refused() {
    let server = ApiServer::start().await.unwrap();
    let client = server.client();
    restricted(&client, Chart::NAMESPACE).await;
    let rendered = Chart::new().unwrap().render("env: {relay: a=b}").unwrap();
    let mut pod = pod(&rendered);
    would_accept(&client, &pod).await.unwrap();
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = json!(true);
    let error = would_accept(&client, &pod).await.unwrap_err();
    assert!(format!("{error:#}").contains("violates PodSecurity \"restricted"), "{error:#}");
    let mut deployment = rendered.only("Deployment").unwrap().clone();
    deployment["spec"]["replica"] = json!(1);
    assert!(format!("{:#}", would_accept(&client, &deployment).await.unwrap_err()).contains("replica"));
}

/// Returns a pod of the Deployment.
pub(crate) fn pod(rendered: &Rendered) -> Value {
    let mut pod = rendered.pod().unwrap().clone();
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"]["name"] = json!("pod");
    pod["metadata"]["namespace"] = rendered.workload().unwrap()["metadata"]["namespace"].clone();
    pod
}

/// Asks the API server for a strict dry run.
pub(crate) async fn would_accept(client: &Client, object: &Value) -> anyhow::Result<()> {
    let params = PatchParams {
        dry_run: true,
        force: true,
        field_manager: Some("chart-test".to_owned()),
        field_validation: Some(ValidationDirective::Strict),
    };
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    api(client, object).patch(name, &params, &Patch::Apply(object)).await?;
    Ok(())
}

/// Creates an object.
pub(crate) async fn create(client: &Client, object: &Value) -> anyhow::Result<()> {
    api(client, object).create(&PostParams::default(), &serde_json::from_value(object.clone())?).await?;
    Ok(())
}

fn api(client: &Client, object: &Value) -> Api<DynamicObject> {
    let (api_version, kind) =
        (object["apiVersion"].as_str().unwrap_or_default(), object["kind"].as_str().unwrap_or_default());
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    match kind {
        "ClusterRole" | "ClusterRoleBinding" | "Namespace" | "RuntimeClass" | "CustomResourceDefinition" => {
            Api::all_with(client.clone(), &resource)
        }
        _ => Api::namespaced_with(
            client.clone(),
            object["metadata"]["namespace"].as_str().unwrap_or(Chart::NAMESPACE),
            &resource,
        ),
    }
}

async fn restricted(client: &Client, name: &str) {
    let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
    create(client, &namespace).await.unwrap();
}

/// Defines a kind of object that may hold anything, and waits until objects of it can be made.
async fn define(client: &Client, group: &str, plural: &str, kind: &str) {
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.to_lowercase(), "kind": kind, "listKind": format!("{kind}List")},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}],
        },
    });
    create(client, &definition).await.unwrap();
    eventually("the kind is served", async || {
        client.request_text(http::Request::get(format!("/apis/{group}/v1/{plural}")).body(Vec::new())?).await?;
        Ok(())
    })
    .await
    .unwrap();
}
