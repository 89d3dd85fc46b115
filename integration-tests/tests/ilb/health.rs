//! Readiness means that the configuration is proved in force in the Traefik that runs now. It depends neither on the API
//! server nor on the number of backends.

#![allow(clippy::float_cmp, reason = "counts are exact")]

use ilb_testbed::{ApiServer, Traefik, World, eventually};

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn ilb_is_ready_while_its_configuration_is_proved_in_the_traefik_that_runs() {
    let mut world = World::start(2).await.unwrap();
    world.admin.wait_until_ok("/readyz").await.unwrap();

    world.traefik.kill().unwrap();
    world.admin.wait_until_failing("/readyz").await.unwrap();
    let (_, reasons) = world.admin.get("/readyz").await.unwrap();
    assert!(reasons.starts_with("pool default: Traefik cannot be reached"), "{reasons}");
    for path in ["/livez", "/healthz", "/startupz"] {
        assert!(world.admin.is_ok(path).await.unwrap(), "a restart of ilb would not help: {path}");
    }

    world.traefik.restart().await.unwrap();
    world.admin.wait_until_ok("/readyz").await.unwrap();
    let service = world.traefik.api("tcp/services/default@rest").await.unwrap();
    assert_eq!(service["weighted"]["services"].as_array().map(Vec::len), Some(2), "ready is in force: {service}");
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn ilb_stays_ready_without_a_backend_and_without_the_api_server() {
    let mut world = World::on(ApiServer::start().await.unwrap(), 1, &[]).await.unwrap();
    world.admin.wait_until_ok("/readyz").await.unwrap();

    world.pods.remove(&World::pod(0)).await.unwrap();
    world.wait_until_in_force(0).await.unwrap();
    world.api_server.kill().unwrap();
    world.ilb.wait_for_log("Discovery is stale: backends that it cannot see stay as seen last").await.unwrap();
    // A proof that is younger than the outage is one after both changes.
    eventually("a proof after the outage", async || {
        anyhow::ensure!(world.admin.is_ok("/readyz").await?, "it is not ready");
        let age = world.admin.metric("ilb_traefik_proof_age_seconds").await?;
        let stale = world.admin.metric("ilb_discovery_staleness_seconds{pool=\"default\"}").await?;
        anyhow::ensure!(age < stale, "the last proof is from before: {age} s, stale for {stale} s");
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(world.admin.metric(r#"ilb_pool_backends{pool="default",state="ready"}"#).await.unwrap(), 0.0);
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn startup_waits_for_the_backends_and_not_for_traefik_while_readiness_waits_for_both() {
    let (mut api_server, mut traefik) = (ApiServer::start().await.unwrap(), Traefik::start().await.unwrap());
    let pods = api_server.namespace("backends").await.unwrap();
    api_server.kill().unwrap();
    traefik.kill().unwrap();
    let mut world = World::from_parts(api_server, pods, traefik, &[]).unwrap();

    world.admin.wait_until_ok("/livez").await.unwrap();
    assert!(!world.admin.is_ok("/startupz").await.unwrap());
    world.api_server.restart().await.unwrap();
    world.admin.wait_until_ok("/startupz").await.unwrap();
    assert!(!world.admin.is_ok("/readyz").await.unwrap());
    world.traefik.restart().await.unwrap();
    world.admin.wait_until_ok("/readyz").await.unwrap();
}
