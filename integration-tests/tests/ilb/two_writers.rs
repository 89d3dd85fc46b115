//! Two ilbs that write to one Traefik notice it, say so once, and neither writes in a hot loop.

#![allow(clippy::float_cmp, reason = "counts are exact")]

use std::time::{Duration, Instant};

use anyhow::ensure;
use ilb_testbed::{FaultProxy, Traefik, eventually, eventually_within};

use crate::configured::{Configured, folder, listed, pool};

const RIVAL: &str = "Another program writes to this Traefik";

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn two_ilbs_on_one_traefik_are_not_ready_until_one_of_them_ends() {
    let traefik = Traefik::start().await.unwrap();
    let rest = traefik.rest_url().replace("http://", "").replace("/api/providers/rest", "").parse().unwrap();
    let (mut ilbs, mut backends, mut proxies) = (Vec::new(), Vec::new(), Vec::new());
    for name in ["one", "two"] {
        let proxy = FaultProxy::start(rest).await.unwrap();
        let head = format!("traefik: {{urls: ['http://{}']}}\npools:\n", proxy.address());
        proxies.push(proxy);
        let folder = folder();
        let (backend, file) = listed(&folder, name).await;
        backends.push(backend);
        ilbs.push(Configured::start(folder, &format!("{head}{}", pool("a", "tcp", &file)), &[]));
    }
    for configured in &ilbs {
        eventually("the other one is noticed", async || {
            let (status, reasons) = configured.admin.get("/readyz").await?;
            ensure!(status == 503 && reasons.contains("another program"), "{status}: {reasons}");
            ensure!(configured.admin.metric("ilb_traefik_rival").await? == 1.0);
            Ok(())
        })
        .await
        .unwrap();
    }
    for configured in &ilbs {
        assert_eq!(configured.ilb.logged(RIVAL).unwrap().len(), 1);
    }
    let (noticed, writes) = (Instant::now(), || proxies.iter().map(FaultProxy::puts).sum::<u64>());
    let before = writes();
    eventually_within(Duration::from_secs(120), "both still try", async || {
        ensure!(writes() >= before + 5, "{} writes", writes() - before);
        Ok(())
    })
    .await
    .unwrap();
    // One of them has written three times, after pauses that grow from 1 s on. Each wrote twice a second once, so five
    // took little more than a second. A slow machine only takes longer.
    assert!(noticed.elapsed() > Duration::from_secs(2), "{:?}", noticed.elapsed());
    let mut loser = ilbs.pop().unwrap();
    loser.ilb.terminate().await.unwrap();
    let winner = &ilbs[0];
    eventually_within(Duration::from_secs(180), "the one that is left is ready", async || {
        let (status, reasons) = winner.admin.get("/readyz").await?;
        ensure!(status == 200, "{reasons}");
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(winner.admin.metric("ilb_traefik_rival").await.unwrap(), 0.0);
    assert_eq!(traefik.connect().await.unwrap().backend(), backends[0].address());
}
