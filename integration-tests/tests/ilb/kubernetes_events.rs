//! Important events are Kubernetes Events about ilb's pod, if they are switched on.

use anyhow::{Context, ensure};
use ilb_testbed::{World, eventually};
use k8s_openapi::api::core::v1::Event;
use kube::{Api, api::ListParams};

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_pool_that_loses_its_last_backend_is_an_event_of_the_pod() {
    let settings = [
        ("ILB_KUBERNETES_EVENTS", "true"),
        ("ILB_POD", "lb-with-events"),
        ("ILB_POD_NAMESPACE", "default"),
        ("ILB_POD_UID", "7d9f8c6b-0000-4000-8000-000000000000"),
    ];
    let world = World::with(1, &settings).await.unwrap();
    world.wait_until_in_force(1).await.unwrap();
    world.pods.remove(&World::pod(0)).await.unwrap();
    world.wait_until_in_force(0).await.unwrap();
    let events: Api<Event> = Api::namespaced(world.api_server.client(), "default");
    let of_pod = ListParams::default().fields("involvedObject.name=lb-with-events,involvedObject.kind=Pod");
    eventually("the event is there", async || {
        let found = events.list(&of_pod).await?.items;
        let texts: Vec<_> = found.iter().map(|event| event.message.clone().unwrap_or_default()).collect();
        let event =
            found.iter().find(|event| event.message.as_deref().is_some_and(|m| m.contains("No backend is ready")));
        let event = event.with_context(|| format!("there are {texts:?}"))?;
        ensure!(event.type_.as_deref() == Some("Warning") && event.reason.as_deref() == Some("Pool"), "{event:?}");
        ensure!(event.involved_object.uid.as_deref() == Some(settings[3].1), "{event:?}");
        // What pods do is an event of theirs already.
        ensure!(!texts.iter().any(|text| text.contains(" left")), "{texts:?}");
        Ok(())
    })
    .await
    .unwrap();
}
