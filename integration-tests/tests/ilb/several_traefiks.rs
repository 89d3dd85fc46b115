//! Several Traefiks get one configuration, and one that is away takes nothing from the others.

#![allow(clippy::float_cmp, reason = "counts are exact")]

use anyhow::ensure;
use ilb_testbed::{BareTraefik, Connection, FaultProxy, eventually};

use crate::configured::{Configured, folder, listed, pool};

/// Starts a proxy that counts what Traefik is sent: the same configuration sent again leaves no other trace.
async fn proxy_to(traefik: &BareTraefik) -> FaultProxy {
    FaultProxy::start(traefik.url().trim_start_matches("http://").parse().unwrap()).await.unwrap()
}

fn settings(traefiks: [&FaultProxy; 2], more: &str, file: &std::path::Path) -> String {
    let [one, two] = traefiks.map(FaultProxy::address);
    format!("traefik: {{urls: ['http://{one}', 'http://{two}']{more}}}\npools:\n{}", pool("a", "tcp", file))
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_traefik_that_is_away_is_shown_and_the_other_one_is_served_and_left_alone() {
    let folder = folder();
    let (one, mut two) = (BareTraefik::builder().start().await.unwrap(), BareTraefik::builder().start().await.unwrap());
    let (backend, file) = listed(&folder, "backends").await;
    let [to_one, to_two] = [proxy_to(&one).await, proxy_to(&two).await];
    two.kill().unwrap();
    let configured = Configured::start(folder, &settings([&to_one, &to_two], "", &file), &[]);
    configured.admin.wait_until_ok("/readyz").await.unwrap();
    let (attempts, puts) = (to_two.accepted(), to_one.puts());
    eventually("the one that is away is tried again and again", async || {
        ensure!(to_two.accepted() >= attempts + 6, "{} attempts", to_two.accepted());
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(to_one.puts(), puts, "the other one was left alone");
    let connection = Connection::open(one.entry_point()).await.unwrap();
    assert_eq!(connection.backend(), backend.address());
    let [alive, dead] = [&to_one, &to_two].map(|proxy| proxy.address().to_string());
    let metric = async |instance: &str| {
        configured.admin.metric(&format!("ilb_traefik_instance_in_force{{instance=\"{instance}\"}}")).await
    };
    eventually("both are shown", async || {
        ensure!(metric(&alive).await? == 1.0 && metric(&dead).await? == 0.0);
        Ok(())
    })
    .await
    .unwrap();
    let status = configured.admin.status().await.unwrap();
    let instances = status["traefik"]["instances"].as_array().unwrap();
    let dead_one = instances.iter().find(|instance| instance["instance"] == dead.as_str()).unwrap();
    assert_eq!(dead_one["in_force"], false);
    assert_eq!(dead_one["problem"]["kind"], "unreachable");
    let degraded = status["degraded"][0].as_str().unwrap();
    assert!(degraded.starts_with(&format!("Traefik {dead}: Traefik cannot be reached")), "{degraded}");

    two.restart().await.unwrap();
    eventually("the one that is back is configured", async || {
        ensure!(metric(&dead).await? == 1.0);
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(Connection::open(two.entry_point()).await.unwrap().backend(), backend.address());
    let failed = r#"ilb_pushes_total{reason="backends",result="failed"}"#;
    assert!(configured.admin.metric(failed).await.is_err(), "no push has failed");
    assert_eq!(configured.admin.metric("ilb_traefik_restarts_total").await.unwrap(), 0.0);
    let logged = configured.ilb.logged("A Traefik does not have the configuration").unwrap();
    assert_eq!(logged.len(), 1, "{logged:#?}");
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn where_all_traefiks_are_asked_for_one_that_is_away_makes_ilb_unready() {
    let folder = folder();
    let (one, mut two) = (BareTraefik::builder().start().await.unwrap(), BareTraefik::builder().start().await.unwrap());
    let (_backend, file) = listed(&folder, "backends").await;
    let [to_one, to_two] = [proxy_to(&one).await, proxy_to(&two).await];
    let configured = Configured::start(folder, &settings([&to_one, &to_two], ", quorum: all", &file), &[]);
    configured.admin.wait_until_ok("/readyz").await.unwrap();
    let puts = to_one.puts();
    two.kill().unwrap();
    configured.admin.wait_until_failing("/readyz").await.unwrap();
    two.restart().await.unwrap();
    configured.admin.wait_until_ok("/readyz").await.unwrap();
    assert_eq!(to_one.puts(), puts, "the other one was left alone");
}
