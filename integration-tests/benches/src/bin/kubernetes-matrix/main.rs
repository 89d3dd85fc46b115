//! Runs the tests of discovery and of the chart on every version of Kubernetes that the testbed has, lets ilb serve a client with
//! each of them and each version of Traefik, and writes the table `docs/compatibility.md`.
//!
//! `make test-matrix` runs it; `KUBERNETES=1.37.2 make test-matrix` tries that version and keeps the other columns. Of
//! Kubernetes only the API server takes part.

mod page;
mod serve;
mod suites;

use std::{env, path::PathBuf, process::ExitCode};

use anyhow::Context;
use ilb_benches::versions::{KUBERNETES, TRAEFIK};
use ilb_testbed::{Ilb, tools};

use crate::{page::Page, suites::SUITES};

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    if env::args().nth(1).as_deref() == Some(serve::ARGUMENT) {
        serve::with_each_traefik().await?;
        return Ok(ExitCode::SUCCESS);
    }
    let binary = Ilb::build()?;
    let mut page = Page::of_earlier_runs()?;
    for version in chosen()? {
        let assets = assets(version)?;
        for suite in &SUITES {
            eprintln!("matrix: {} on Kubernetes {version}", suite.name);
            page.add(suite.name, version, suites::run(suite, version, &assets)?);
        }
        eprintln!("matrix: ilb with each Traefik on Kubernetes {version}");
        for (traefik, outcome) in TRAEFIK.into_iter().zip(serve::in_another_process(&assets, &binary)?) {
            page.add(&format!("ilb serves a client by Traefik {traefik}"), version, outcome);
        }
        page.write()?;
    }
    let failed = page.failed();
    eprintln!("matrix: {failed} cells are not as expected; the table is in {}", page::PATH);
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Returns the versions of Kubernetes that `KUBERNETES` names, such as `1.37.2,1.30.14`; all if it is not set.
fn chosen() -> anyhow::Result<Vec<&'static str>> {
    let Ok(names) = env::var("KUBERNETES") else { return Ok(KUBERNETES.into()) };
    let version = |name: &str| KUBERNETES.into_iter().find(|version| *version == name);
    let unknown = |name| format!("KUBERNETES names {name}: it can name {}", KUBERNETES.join(","));
    names.split(',').map(|name| version(name).with_context(|| unknown(name))).collect()
}

/// Returns the folder with the API server of a version, which is built if need be.
fn assets(version: &str) -> anyhow::Result<PathBuf> {
    let program = tools::path(&format!("kube-apiserver-{version}"))?;
    Ok(program.parent().context("a program without a folder")?.to_owned())
}
