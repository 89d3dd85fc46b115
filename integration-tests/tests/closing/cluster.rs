//! Pods on a real API server, a real Traefik, ilb and a closer, in a network namespace of the test's own.

use std::time::Duration;

use ilb_testbed::{
    ApiServer, BACKEND_PORT, Behaviour, CloserProcess, Privileges, World, eventually, host_network, tools,
};

use crate::scene::alone;

/// A [`World`] whose ilb has a closer.
pub(crate) struct Cluster {
    pub(crate) world: World,
    pub(crate) closer: CloserProcess,
}

/// Runs the calling test once more in a network namespace of its own, with backends' addresses there.
pub(crate) fn alone_with_hosts(test: &str) -> bool {
    tools::prepare().unwrap();
    let is_alone = alone(test);
    if is_alone {
        host_network("10.9.0.0/16").unwrap();
    }
    is_alone
}

/// Settings of a pool that is rebalanced after each scale-out, a few connections a second.
pub(crate) fn rebalance(max_rate: &'static str) -> Vec<(&'static str, &'static str)> {
    vec![
        ("ILB_CLOSING_REBALANCE_ENABLED", "true"),
        ("ILB_CLOSING_REBALANCE_LEAST", "1"),
        ("ILB_CLOSING_REBALANCE_RATE", "100%"),
        ("ILB_CLOSING_REBALANCE_MAX_RATE", max_rate),
        ("ILB_CLOSING_REBALANCE_MIN_AGE", "0s"),
    ]
}

impl Cluster {
    /// Starts a cluster with this many ready pods, which closes connections of its only pool by these settings.
    pub(crate) async fn start(backends: u16, settings: &[(&str, &str)]) -> Self {
        Self::with_limit("1000", backends, settings).await
    }

    /// Starts a cluster whose closer closes at most `max_rate` connections a second.
    pub(crate) async fn with_limit(max_rate: &str, backends: u16, settings: &[(&str, &str)]) -> Self {
        let api_server = ApiServer::shared().await.unwrap();
        Self::on(api_server, max_rate, backends, settings).await
    }

    /// Starts a cluster on this API server.
    pub(crate) async fn on(api_server: ApiServer, max_rate: &str, backends: u16, settings: &[(&str, &str)]) -> Self {
        let ports = format!("--ports={BACKEND_PORT}");
        let flags = ["--networks=10.9.0.0/16", &ports, "--entry-ports=3333", "--max-rate", max_rate];
        let closer = CloserProcess::start(Privileges::ROOT_WITH_NET_ADMIN, &flags).await.unwrap();
        let socket = closer.socket();
        let mut all = vec![
            ("ILB_CLOSER_SOCKET", socket.to_str().unwrap()),
            ("LOG_LEVEL", "debug"),
            ("ILB_CLOSING_SETTLE", "1s"),
            ("ILB_CLOSING_MAX_PER_HOUR", "10000%"),
        ];
        all.extend_from_slice(settings);
        let world = World::on_other_hosts(api_server, 0, &all).await.unwrap();
        world.ilb.wait_for_log("The closer can close connections").await.unwrap();
        let mut this = Self { world, closer };
        for index in 0..backends {
            this.add_pod(index).await;
        }
        this.world.wait_until_in_force(backends.into()).await.unwrap();
        this
    }

    /// Starts backend `index` and creates a ready pod at its address. It answers later than within the tick of the kernel's
    /// clock in which it was asked, so that the kernel shows for certain that it has answered.
    pub(crate) async fn add_pod(&mut self, index: u16) {
        self.world.add_backend(index, Behaviour::EchoLater(Duration::from_millis(20))).await.unwrap();
        self.world.pods.create_ready(&World::pod(index), self.world.address(index).ip()).await.unwrap();
    }

    /// Returns the number of connections that the closer has closed, as it logged them.
    pub(crate) fn closed(&self) -> usize {
        self.closer.closed().unwrap().len()
    }

    /// Waits until the log of ilb has a line whose message contains `text`.
    pub(crate) async fn wait_for_log(&self, text: &str) {
        eventually(text, async || {
            let output = self.world.ilb.output()?;
            anyhow::ensure!(output.contains(text), "not logged yet");
            Ok(())
        })
        .await
        .unwrap();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.world.ilb.output().unwrap_or_default();
            let lines: Vec<_> = log.lines().rev().take(60).collect();
            println!("The end of the log of ilb:");
            lines.iter().rev().for_each(|line| println!("{line}"));
        }
    }
}
