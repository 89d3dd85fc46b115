//! Takes the pictures of the status page in `docs/`: real pods, connections that come and go, and what goes wrong.
//!
//! `make screenshots` runs it. `DURATION=300` changes for how many seconds a scene plays before it is taken. It fails if a page
//! does not show what its picture is of.

mod scene;

use std::{fs, time::Duration};

use anyhow::{Context, ensure};
use ilb_testbed::{BareTraefik, Browser, Ilb, Look, in_checkout};
use tokio::time::sleep;

use crate::scene::{Scene, degraded};

/// Pools of the second scene, and the number of pods of each.
const TEN_POOLS: [(&str, u16); 10] = [
    ("billing", 5),
    ("catalogue", 7),
    ("chat", 3),
    ("events", 5),
    ("inventory", 4),
    ("mail", 0),
    ("payments", 5),
    ("orders", 7),
    ("sessions", 3),
    ("users", 5),
];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let seconds = std::env::var("DURATION").ok().filter(|text| !text.is_empty());
    let seconds = seconds.map_or(Ok(180), |text| text.parse::<u64>().context("DURATION is a number of seconds"))?;
    let duration = Duration::from_secs(seconds);
    Ilb::build()?;
    one_pool(duration).await?;
    ten_pools(duration).await?;
    one_that_is_degraded().await
}

/// A pool with a pod that drains and one that fails: by day, by night, on a phone, and its connections.
async fn one_pool(duration: Duration) -> anyhow::Result<()> {
    eprintln!("screenshots: a pool, for {duration:?}");
    let mut scene = Scene::start(&[("mqtt", 8)]).await?;
    scene.play(duration.mul_f64(0.7)).await;
    scene.drain("mqtt", 0).await?;
    scene.restart("mqtt", 1).await?;
    scene.fail("mqtt", 3);
    scene.play(duration.mul_f64(0.3)).await;
    let expected = ["degraded", "end early", "draining", "failing", "1 restart", "what to do"];
    for (look, name) in
        [(Look::Light, "status-page"), (Look::Dark, "status-page-dark"), (Look::Phone, "status-page-phone")]
    {
        take(&scene.admin.url("/"), look, name, &expected, "").await?;
    }
    let look = "document.querySelector('#look').click(); document.querySelector('#flows-title').scrollIntoView()";
    take(&scene.admin.url("/"), Look::Light, "status-page-connections", &["1 to 50 of"], look).await
}

/// Ten pools, one without a backend, as lines.
async fn ten_pools(duration: Duration) -> anyhow::Result<()> {
    eprintln!("screenshots: ten pools, for {duration:?}");
    let mut scene = Scene::start(&TEN_POOLS).await?;
    scene.play(duration.mul_f64(0.8)).await;
    scene.drain("billing", 1).await?;
    scene.fail("orders", 2);
    scene.play(duration.mul_f64(0.2)).await;
    let expected = ["Pool mail: no backend is ready", "Pool orders: connections to 1 backend end early", "users"];
    take(&scene.admin.url("/"), Look::Light, "status-page-ten-pools", &expected, "").await
}

/// A fleet of two Traefiks, of which one is away, and a pool whose entry point is missing.
async fn one_that_is_degraded() -> anyhow::Result<()> {
    eprintln!("screenshots: a degraded one");
    let (one, mut two) = (BareTraefik::builder().start().await?, BareTraefik::builder().start().await?);
    two.kill()?;
    let scene = degraded(&one, &two).await?;
    let expected = ["degraded: ", "Pool b: Traefik has no entry point nope", "what to do"];
    take(&scene.admin.url("/"), Look::Light, "status-page-degraded", &expected, "").await
}

/// Opens a page, waits until it shows the words and a curve, and takes its picture for the documents.
async fn take(url: &str, look: Look, name: &str, words: &[&str], script: &str) -> anyhow::Result<()> {
    let browser = Browser::start(look).await?;
    browser.open(url).await?;
    browser.wait_to_see(&["ilb 0."]).await?;
    if !script.is_empty() {
        browser.run(script).await?;
    }
    browser.wait_to_see(words).await?;
    // The curves are asked for after the page, and the trends of the backends every few seconds.
    sleep(Duration::from_secs(6)).await;
    let fits = browser.run("return document.documentElement.scrollWidth <= innerWidth").await?;
    ensure!(fits == true, "{name} is wider than the screen");
    let picture = browser.screenshot(name).await?;
    fs::copy(&picture, in_checkout(format!("docs/{name}.png"))).context("cannot write the picture")?;
    browser.close().await
}
