//! The command line looks at the release from outside of the cluster, as a plugin of kubectl.

use std::{env, os::unix::fs::symlink, path::PathBuf};

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::{application::Held, balancer::FULL_NAME, cluster::Cluster};

/// Checks that `kubectl ilb` shows two replicas and their sum, through ports that it forwards itself, that a bundle has
/// the logs of both, and that the check of the cluster finds nothing wrong. Needs two replicas.
pub(crate) async fn looked_at(cluster: &Cluster) -> anyhow::Result<String> {
    let folder = tempfile::tempdir()?;
    symlink(binary()?, folder.path().join("kubectl-ilb"))?;
    let path = folder.path().display();
    let run = |arguments: &str| cluster.shell(&format!("PATH={path}:$PATH kubectl ilb {arguments}"));
    let _: Held = cluster.ask("client", "hold 10")?;
    let status = run(&format!("status -n default deploy/{FULL_NAME} -o json --allow-degraded"))?;
    let status: Value = serde_json::from_str(&status)?;
    let release = &status["releases"][0];
    let replicas = release["replicas"].as_array().context("no replicas")?;
    ensure!(replicas.len() == 2 && replicas.iter().all(|one| one["status"]["ready"] == true), "{release}");
    let sum = |pools: &Value| -> u64 {
        let backends = pools[0]["backends"].as_array().into_iter().flatten();
        backends.filter_map(|backend| backend["established"].as_u64()).sum()
    };
    let parts: u64 = replicas.iter().map(|one| sum(&one["status"]["pools"])).sum();
    let together = sum(&release["together"]["pools"]);
    ensure!(together == parts, "{together} together, {parts} in parts: {release}");
    let table = run("status my-lb --allow-degraded")?;
    ensure!(table.contains("2 of 2 replicas ready") && table.contains("by replica"), "{table}");
    let top = run("top my-lb | head -n 3")?;
    ensure!(top.contains("through 2 replicas"), "{top}");

    let bundle = folder.path().join("bundle.tar");
    run(&format!("bundle my-lb --file {}", bundle.display()))?;
    let listed = cluster.shell(&format!("tar -tf {}", bundle.display()))?;
    for ending in ["/ilb.log", "/traefik.log", "/pod.json", "/status.json"] {
        let found = listed.lines().filter(|line| line.ends_with(ending)).count();
        ensure!(found == 2, "{found} of {ending}: {listed}");
    }
    ensure!(listed.contains("release-my-lb/deployments.json"), "{listed}");

    let check = run("check --cluster=default --release my-lb -o json --wait")?;
    let check: Value = serde_json::from_str(&check)?;
    let of = |name: &str| -> Vec<_> {
        let checks = check["checks"].as_array().into_iter().flatten();
        checks.filter(|one| one["check"] == name).map(|one| one["level"].clone()).collect()
    };
    for name in ["api-server", "rights", "backends", "traefik", "replicas", "budget", "grace-period"] {
        ensure!(!of(name).is_empty() && of(name).iter().all(|level| level == "ok"), "{name}: {check}");
    }
    ensure!(of("running").len() == 2, "each replica is asked: {check}");
    let _: Held = cluster.ask("client", "release")?;
    Ok(format!("{together} connections through 2 replicas; {} checks", check["checks"].as_array().map_or(0, Vec::len)))
}

/// Returns the program in the image, which also runs outside of it: it is in a folder beside the archive.
fn binary() -> anyhow::Result<PathBuf> {
    let image = env::args_os().nth(1).map(PathBuf::from).context("no image is named")?;
    let binary = image.with_file_name("context").join("amd64").join("ilb");
    binary.canonicalize().with_context(|| format!("there is no {}", binary.display()))
}
