//! The status page loads in a real browser, follows changes and shows the outage of each side.

use ilb_testbed::{ApiServer, BareTraefik, Browser, Crowd, Look, PathProxy, Readiness, World};
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
                "Backends up to date",
                "pods app=",
                "5 ready, 1 draining, 1 not ready, 1",
                &World::pod(0),
                &world.address(0).to_string(),
                "leaving: keeps existing connections",
                "not ready: keeps existing connections",
                "Pushes to Traefik in the last minute",
                &format!("{} drains", World::pod(4)),
            ])
            .await
            .unwrap();
        browser.wait_for("return document.querySelector('.chart .curve').getAttribute('d').length > 10").await.unwrap();
        browser.screenshot(name).await.unwrap();
        // The content policy allows the page's own style and script, and nothing is wider than the screen.
        let page = "const bar = document.querySelector('.bar i').getBoundingClientRect().width;
            return [getComputedStyle(document.body).marginTop, bar > 10,
                    document.documentElement.scrollWidth <= innerWidth]";
        assert_eq!(browser.run(page).await.unwrap(), json!(["0px", true, true]), "{name}");
        // A different background, not only another name for it.
        let dark = "return parseInt(getComputedStyle(document.body).backgroundColor.match(/[0-9]+/)[0]) < 128";
        assert_eq!(browser.run(dark).await.unwrap(), json!(look == Look::Dark), "{name}");
        // Weights are shown on request only.
        let weight = "return getComputedStyle(document.querySelector('td.weight')).display !== 'none'";
        assert_eq!(browser.run(weight).await.unwrap(), json!(false), "{name}");
        browser.run("document.querySelector('#details').click()").await.unwrap();
        assert_eq!(browser.run(weight).await.unwrap(), json!(true), "{name}");
        let weights = "return [...document.querySelectorAll('td.weight')].map(td => td.textContent.replace(/[0-9]+/, 'a number'))";
        let weighted = ["a number", "a number", "a number", "a number", "–", "–", "a number"];
        assert_eq!(browser.run(weights).await.unwrap(), json!(weighted), "{name}");
        assert_eq!(browser.complaints_of_axe().await.unwrap(), [""; 0], "{name}");
        browser.close().await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn the_page_follows_a_pod_that_comes_and_one_that_goes() {
    let mut world = World::start(2).await.unwrap();
    let browser = Browser::start(Look::Light).await.unwrap();
    browser.open(&world.admin.url("/")).await.unwrap();
    browser.wait_to_see(&["Backends 2 ready"]).await.unwrap();

    world.add_pod(2).await.unwrap();
    let new = world.address(2).to_string();
    browser.wait_to_see(&["Backends 3 ready", &new]).await.unwrap();
    let connections = world.connect_to_each(3).await.unwrap();
    browser.wait_to_see(&["3 ready, 3 connections"]).await.unwrap();

    world.pods.delete(&World::pod(2)).await.unwrap();
    browser
        .wait_to_see(&[
            "2 ready, 1 draining",
            "leaving: keeps existing connections",
            &format!("{} drains", World::pod(2)),
        ])
        .await
        .unwrap();
    world.pods.remove(&World::pod(2)).await.unwrap();
    browser.wait_until("the pod disappears", |text| !text.contains(&new)).await.unwrap();
    browser.wait_to_see(&[&format!("{} left", World::pod(2))]).await.unwrap();
    drop(connections);
    browser.close().await.unwrap();
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn an_event_that_happens_again_stays_one_line_of_the_page() {
    let world = World::start(2).await.unwrap();
    let browser = Browser::start(Look::Light).await.unwrap();
    browser.open(&world.admin.url("/")).await.unwrap();
    browser.wait_to_see(&["Backends 2 ready"]).await.unwrap();
    for _ in 0..3 {
        world.set_pod(1, Readiness::NotReady).await.unwrap();
        browser.wait_to_see(&["1 ready, 1 not ready"]).await.unwrap();
        world.set_pod(1, Readiness::Ready).await.unwrap();
        browser.wait_to_see(&["Backends 2 ready"]).await.unwrap();
    }
    let text = format!("{} is no longer ready", World::pod(1));
    browser.wait_to_see(&[&format!("{text} (3 times in")]).await.unwrap();
    let lines = format!(
        "return [...document.querySelectorAll('#log li')].filter(li => li.textContent.includes('{text}')).length"
    );
    assert_eq!(browser.run(&lines).await.unwrap(), json!(1));
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
    let away = ["Updates missing for", "the last known backends stay in use", "degraded: pool default: some or all"];
    browser.wait_to_see(&away).await.unwrap();
    browser.screenshot("api-server-away").await.unwrap();
    world.api_server.restart().await.unwrap();
    browser.wait_to_see(&["Backends up to date"]).await.unwrap();

    world.traefik.kill().unwrap();
    browser
        .wait_to_see(&[
            "not ready: pool default: Traefik cannot be reached",
            "Traefik: Configuration not verified: unreachable",
        ])
        .await
        .unwrap();
    browser.screenshot("traefik-away").await.unwrap();
    world.traefik.restart().await.unwrap();
    browser.wait_to_see(&["ready: all pools active", "has restarted, and is configured again"]).await.unwrap();

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
    browser.wait_to_see(&["degraded: ", "Pool b: Traefik has no entry point nope", &dead]).await.unwrap();
    browser.screenshot("degraded").await.unwrap();
    // Each problem leads to what to do about it.
    let books = "return [...document.querySelectorAll('#problems li')].every(li => {
        const book = li.querySelector('.runbook');
        return !book.hidden && book.href.includes('/chart/runbooks.md#ilb') && book.rel === 'noreferrer';
    })";
    assert_eq!(browser.run(books).await.unwrap(), json!(true));
    // The pool in trouble comes first, is red, and is reached from the list of problems by the keyboard.
    let rows = "return [...document.querySelectorAll('.pool .row')].map(row =>
        [row.querySelector('.name').textContent, row.querySelector('.state-word').className])";
    let expected = json!([["b", "state-word error"], ["a", "state-word ok"]]);
    assert_eq!(browser.run(rows).await.unwrap(), expected);
    browser
        .run("document.querySelector('#problems a:not(.runbook)').focus(); document.activeElement.click()")
        .await
        .unwrap();
    browser.wait_to_see(&["Entry point nope"]).await.unwrap();
    assert_eq!(browser.complaints_of_axe().await.unwrap(), [""; 0]);
    browser
        .run(
            "const search = document.querySelector('#search'); search.value = 'TCP';
        search.dispatchEvent(new Event('input'))",
        )
        .await
        .unwrap();
    browser
        .wait_until("only the pool that was searched for is listed", |text| !text.contains("Entry point nope"))
        .await
        .unwrap();
    browser.close().await.unwrap();
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn the_page_shows_connections_on_request_by_pages_and_filters() {
    let world = World::start(2).await.unwrap();
    let mut crowd = Crowd::default();
    for _ in 0..60 {
        crowd.join(&world.traefik).await.unwrap();
    }
    for (look, name) in [(Look::Light, "light"), (Look::Dark, "dark"), (Look::Phone, "phone")] {
        let browser = Browser::start(look).await.unwrap();
        browser.open(&world.admin.url("/")).await.unwrap();
        browser.wait_to_see(&["ready: all pools active", "Show connections"]).await.unwrap();
        assert!(!browser.text().await.unwrap().contains("of 60"), "nothing is asked for before");
        browser.run("document.querySelector('#look').focus(); document.activeElement.click()").await.unwrap();
        browser
            .wait_to_see(&["1 to 50 of 60", "60 connections to backends", &World::pod(0), &World::pod(1)])
            .await
            .unwrap();
        let rows = "return document.querySelectorAll('#flows tbody tr').length";
        assert_eq!(browser.run(rows).await.unwrap(), json!(50));
        browser.screenshot(&format!("connections-{name}")).await.unwrap();
        assert_eq!(browser.complaints_of_axe().await.unwrap(), [""; 0], "{name}");
        let fits = "return document.documentElement.scrollWidth <= innerWidth";
        assert_eq!(browser.run(fits).await.unwrap(), json!(true), "{name}");

        browser.run("document.querySelector('#later').focus(); document.activeElement.click()").await.unwrap();
        browser.wait_to_see(&["51 to 60 of 60"]).await.unwrap();
        assert_eq!(browser.run("return document.querySelector('#later').disabled").await.unwrap(), json!(true));
        let choose = "const input = document.querySelector('#of-backend'); input.value = 'pod-1';
            input.dispatchEvent(new Event('input'))";
        browser.run(choose).await.unwrap();
        browser
            .wait_for(
                "const pods = [...document.querySelectorAll('#flows td.backend b')].map(b => b.textContent);
                return pods.length > 0 && pods.every(pod => pod === 'pod-1')",
            )
            .await
            .unwrap();
        if look != Look::Phone {
            browser.run("document.querySelector('#flows th[data-order=rtt] button').click()").await.unwrap();
            browser.wait_for("return document.querySelector('#flows th[data-order=rtt]').getAttribute('aria-sort') === 'descending'").await.unwrap();
        }
        browser.close().await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn the_page_works_below_a_path_of_a_proxy() {
    let world = World::start(2).await.unwrap();
    let proxy = PathProxy::start("/api/v1/namespaces/apps/pods/lb-0:8081/proxy", world.admin.address()).await.unwrap();
    let browser = Browser::start(Look::Light).await.unwrap();
    browser.open(&proxy.url("/")).await.unwrap();
    browser.wait_to_see(&["ready: all pools active", "Backends 2 ready", "came, ready"]).await.unwrap();
    browser.wait_for("return document.querySelector('.chart .curve').getAttribute('d').length > 10").await.unwrap();
    let links =
        "return [...document.querySelectorAll('footer a')].every(a => a.pathname.startsWith('/api/v1/namespaces/'))";
    assert_eq!(browser.run(links).await.unwrap(), json!(true));
    browser.close().await.unwrap();
}
