//! ilb serves a client with each version of Traefik, on the API server of one version.

use std::{
    env,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, ensure};
use ilb_benches::versions::TRAEFIK;
use ilb_testbed::{ApiServer, Ilb, Readiness, Traefik, World};

use crate::page::Cell;

/// Argument with which the program serves clients with one version of Kubernetes, instead of trying all.
pub(crate) const ARGUMENT: &str = "serve";

/// Runs [`with_each_traefik`] in a process of its own, since the programs of a process are the same to its end. Returns an outcome
/// for each version of Traefik.
pub(crate) fn in_another_process(assets: &Path, binary: &Path) -> anyhow::Result<Vec<Cell>> {
    let mut command = Command::new(env::current_exe()?);
    Ilb::share_with(&mut command)?;
    let output = command
        .arg(ARGUMENT)
        .env("KUBEBUILDER_ASSETS", assets)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot try {}", binary.display()))?;
    ensure!(output.status.success(), "the API server in {} does not start", assets.display());
    let lines = String::from_utf8(output.stdout)?;
    let cells: Vec<_> = lines.lines().map(cell).collect();
    ensure!(cells.len() == TRAEFIK.len(), "unexpected output:\n{lines}");
    Ok(cells)
}

fn cell(line: &str) -> Cell {
    if line == "yes" { Cell::Passed(line.to_owned()) } else { Cell::Failed(line.to_owned()) }
}

/// Prints a line for each version of Traefik: `yes`, or what failed.
pub(crate) async fn with_each_traefik() -> anyhow::Result<()> {
    let api_server = ApiServer::shared().await?;
    for version in TRAEFIK {
        match with(ApiServer::shared().await?, version).await {
            Ok(()) => println!("yes"),
            Err(error) => println!("{}", format!("{error:#}").replace('\n', " ")),
        }
    }
    drop(api_server);
    Ok(())
}

/// Lets ilb follow two pods with this version of Traefik: clients reach both, and the one that stops being ready no more.
async fn with(api_server: ApiServer, version: &str) -> anyhow::Result<()> {
    let traefik = Traefik::of_version(version, &[]).await?;
    let pods = api_server.new_namespace("backends").await?;
    let mut world = World::from_parts(api_server, pods, traefik, &[])?;
    world.add_pods(0..2, Readiness::Ready).await?;
    world.wait_until_in_force(2).await?;
    world.connect_to_each(2).await?;
    world.set_pod(0, Readiness::NotReady).await?;
    world.wait_until_in_force(1).await?;
    let reached = world.landed_on(4).await?;
    ensure!(reached.iter().eq([&world.address(1)]), "new connections reach {reached:?}");
    world.admin.wait_until_ok("/readyz").await?;
    let status = world.ilb.terminate().await?;
    ensure!(status.success(), "ilb ended with {status}");
    Ok(())
}
