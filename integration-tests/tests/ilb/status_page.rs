//! The status page loads in a real browser, follows changes and shows the outage of each side.

use ilb_testbed::{ApiServer, BareTraefik, Browser, Crowd, Look, Readiness, World};
use serde_json::json;

use crate::configured::{Configured, folder, listed, pool};

/// Starts a world in which one backend is leaving with its connections, one cannot serve, and others have fewer connections
/// than the rest.
async fn busy_world() -> anyhow::Result<(World, Crowd)> {
    let mut world = World::start(5).await?;
    let mut crowd = Crowd::default();
    for _ in 0..120 {
        crowd.join(&world.traefik).await?;
    }
    crowd.leave(world.address(1), 9);
    world.pods.delete(&World::pod(4)).await?;
    world.wait_until_in_force(4).await?;
    world.add_pods(5..6, Readiness::NotReady).await?;
    world.add_pods(6..7, Readiness::Ready).await?;
    world.wait_until_in_force(5).await?;
    for _ in 0..20 {
        crowd.join(&world.traefik).await?;
    }
    Ok((world, crowd))
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn the_page_loads_and_can_be_read_by_day_by_night_and_on_a_phone() {
    let (world, _crowd) = busy_world().await.unwrap();
    for (look, name) in [(Look::Light, "light"), (Look::Dark, "dark"), (Look::Phone, "phone")] {
        let browser = Browser::start(look).await.unwrap();
        browser.open(&world.admin.url("/")).await.unwrap();
        browser
            .wait_to_see(&[
                "ready: all pools active",
                "Configuration active for",
                "Backends up to date",
                "Pool default",
                "entry point tcp: 5 ready, 1 draining, 1 not ready, 1",
                &world.address(0).to_string(),
                "leaving: keeps existing connections",
                "not ready: keeps existing connections",
                "Last pushes",
            ])
            .await
            .unwrap();
        browser.screenshot(name).await.unwrap();
        // The content policy allows the page's own style and script, and nothing is wider than the screen.
        let page = "const bar = document.querySelector('.bar i').getBoundingClientRect().width;
            return [getComputedStyle(document.body).marginTop, bar > 10,
                    document.documentElement.scrollWidth <= innerWidth]";
        assert_eq!(browser.run(page).await.unwrap(), json!(["0px", true, true]), "{name}");
        let weights = "return [...document.querySelectorAll('td.weight')].map(td => td.textContent.replace(/[0-9]+/, 'a number'))";
        let weighted = ["a number", "a number", "a number", "a number", "–", "–", "a number"];
        assert_eq!(browser.run(weights).await.unwrap(), json!(weighted), "{name}");
        // A different background, not only another name for it.
        let dark = "return parseInt(getComputedStyle(document.body).backgroundColor.match(/[0-9]+/)[0]) < 128";
        assert_eq!(browser.run(dark).await.unwrap(), json!(look == Look::Dark), "{name}");
        browser.close().await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn the_page_follows_a_pod_that_comes_and_one_that_goes() {
    let mut world = World::start(2).await.unwrap();
    let browser = Browser::start(Look::Light).await.unwrap();
    browser.open(&world.admin.url("/")).await.unwrap();
    browser.wait_to_see(&["entry point tcp: 2 ready"]).await.unwrap();

    world.add_pod(2).await.unwrap();
    let new = world.address(2).to_string();
    browser.wait_to_see(&["entry point tcp: 3 ready", &new]).await.unwrap();
    let connections = world.connect_to_each(3).await.unwrap();
    browser.wait_to_see(&["3 ready, 3 connections"]).await.unwrap();

    world.pods.delete(&World::pod(2)).await.unwrap();
    browser.wait_to_see(&["2 ready, 1 draining", "leaving: keeps existing connections"]).await.unwrap();
    world.pods.remove(&World::pod(2)).await.unwrap();
    browser.wait_until("the pod disappears", |text| !text.contains(&new)).await.unwrap();
    drop(connections);
    browser.close().await.unwrap();
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn the_page_shows_the_outage_of_each_side_and_its_end() {
    let mut world = World::on(ApiServer::start().await.unwrap(), 2, &[]).await.unwrap();
    let browser = Browser::start(Look::Light).await.unwrap();
    browser.open(&world.admin.url("/")).await.unwrap();
    browser.wait_to_see(&["ready: all pools active", "Backends up to date"]).await.unwrap();

    world.api_server.kill().unwrap();
    let away = ["Updates missing for", "the last known backends stay in use", "ready: all pools active"];
    browser.wait_to_see(&away).await.unwrap();
    browser.screenshot("api-server-away").await.unwrap();
    world.api_server.restart().await.unwrap();
    browser.wait_to_see(&["Backends up to date"]).await.unwrap();

    world.traefik.kill().unwrap();
    browser
        .wait_to_see(&["not ready: pool default: Traefik cannot be reached", "Configuration not verified: unreachable"])
        .await
        .unwrap();
    browser.screenshot("traefik-away").await.unwrap();
    world.traefik.restart().await.unwrap();
    browser.wait_to_see(&["ready: all pools active", "1 restart seen"]).await.unwrap();

    world.ilb.terminate().await.unwrap();
    browser.wait_to_see(&["unknown: ilb does not answer", "No connection to ilb"]).await.unwrap();
    browser.screenshot("ilb-away").await.unwrap();
    browser.close().await.unwrap();
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn the_page_shows_a_pool_and_a_traefik_that_are_not_active_beside_others_that_are() {
    let folder = folder();
    let (one, mut two) = (BareTraefik::builder().start().await.unwrap(), BareTraefik::builder().start().await.unwrap());
    let (_backend, file) = listed(&folder, "backends").await;
    two.kill().unwrap();
    let pools = [pool("a", "tcp", &file), pool("b", "nope", &file)].concat().replace('}', ", method: roundrobin}");
    let settings = format!("traefik: {{urls: ['{}', '{}']}}\npools:\n{pools}", one.url(), two.url());
    let configured = Configured::start(folder, &settings, &[]);
    let browser = Browser::start(Look::Light).await.unwrap();
    browser.open(&configured.admin.url("/")).await.unwrap();
    let dead = format!("Traefik {}", two.url().replace("http://", ""));
    browser
        .wait_to_see(&["ready: 1 of 2 pools active", "Traefik has no entry point nope", &dead, "partly"])
        .await
        .unwrap();
    browser.screenshot("degraded").await.unwrap();
    let shown = "return [...document.querySelectorAll('.degraded')].map(line => !line.hidden)";
    assert_eq!(browser.run(shown).await.unwrap(), json!([false, true]));
    browser.close().await.unwrap();
}
