//! `make cluster-test` tries the chart and the image on a real one-node Kubernetes.
//!
//! Each check prints one line: the promise, the observation and the time. The first failure ends the run and prints the
//! state of the cluster. Exit code 77 means that everything was skipped, and so nothing was proved.

mod application;
mod balancer;
mod checks;
mod cluster;
mod report;

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Instant,
};

use anyhow::{Context, ensure};
use checks::{backends, closing, crashes, install, pools, release, security};
use cluster::{Cluster, script};
use report::Report;

/// Exit code of a skipped test.
const SKIPPED_EXIT_CODE: u8 = 77;

/// Runs `cluster-test IMAGE-OF-ILB FOLDER`. The folder is for the other images and for logs, and is kept from run to run.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<_> = env::args_os().skip(1).map(PathBuf::from).collect();
    let [image, folder] = &arguments[..] else { anyhow::bail!("use: make cluster-test") };
    if let Err(reason) = possible() {
        println!("cluster-test: skipped, nothing was proved: {reason:#}");
        println!("cluster-test: 0 passed, 0 failed, {CHECKS} skipped");
        return Ok(ExitCode::from(SKIPPED_EXIT_CODE));
    }
    let begun = Instant::now();
    let images = images(image, folder)?;
    let logs = folder.join("logs");
    let cluster = Cluster::start(&images, &logs)?;
    let mut report = Report::default();
    run(&cluster, &mut report).await;
    let ended = cluster.end();
    let left = if ended.is_ok() { "nothing left behind" } else { "SOMETHING LEFT BEHIND" };
    println!(
        "     cluster ended, {left}; its components' logs are in {}; {:.0} s",
        logs.display(),
        begun.elapsed().as_secs_f64()
    );
    let passed = report.sum_up(CHECKS);
    ended?;
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The number of checks in [`run`].
const CHECKS: u32 = 25;

/// Runs all checks in order. Each needs the state that the one before has left.
async fn run(cluster: &Cluster, report: &mut Report) {
    macro_rules! check {
        ($promise:literal, $check:path) => {
            if !report.check(cluster, $promise, $check(cluster)).await {
                return;
            }
        };
    }
    check!("the application runs", install::application_runs);
    check!("helm install with the README's command", install::readme_command_installs);
    check!("clients in a pod reach the backends", install::client_reaches_backends);
    check!("the service account has the rights of the Role", security::account_has_exactly_the_rights_of_the_role);
    check!("Traefik's write API is out of reach", security::write_api_is_out_of_reach);
    check!("metrics of both containers", install::metrics_are_served);
    check!("helm test", release::helm_test_passes);
    check!("backends scale up and down", backends::scaling_loses_nothing);
    check!("backends roll", backends::rolling_loses_nothing);
    check!("a backend is deleted hard", backends::hard_deleted_backend_is_left_out);
    check!("the ilb container is killed", crashes::end_of_ilb_touches_nothing);
    check!("the Traefik container is killed", crashes::end_of_traefik_is_repaired);
    check!("documented commands, those of the predecessor too", install::documented_commands_work);
    check!("the ilb containers of two pods are killed", crashes::end_of_one_ilb_of_two_is_not_noticed);
    check!("helm upgrade to another chart and other values", release::upgrade_cuts_nothing);
    check!("helm rollback", release::rollback_cuts_nothing);
    check!("a pool is added, and no new pod can start", pools::pool_of_a_stuck_rollout_harms_no_old_pod);
    check!("the rollout proceeds", pools::pool_is_served_once_the_rollout_proceeds);
    check!("the closer, in a release of its own", closing::closer_runs_where_it_is_admitted);
    check!("held connections are levelled after a scale-out", closing::scale_out_is_levelled);
    check!("a deleted pod is drained before it is killed", closing::deleted_pod_is_drained);
    check!("the role of the primary moves", closing::moved_role_is_followed);
    check!("that release is uninstalled", closing::closing_release_is_uninstalled);
    check!("helm uninstall leaves nothing", release::uninstall_leaves_nothing);
    check!("the application is untouched", release::application_is_untouched);
}

/// Returns an error with the reason if this machine cannot run a cluster.
fn possible() -> anyhow::Result<()> {
    ensure!(rustix::process::geteuid().is_root(), "a cluster needs root, for namespaces, cgroups and mounts");
    let namespaces = ["--net", "--mount", "--pid", "--uts", "--ipc", "--fork", "true"];
    let status = Command::new("unshare").args(namespaces).status().context("there is no unshare (util-linux)")?;
    ensure!(status.success(), "namespaces cannot be created here");
    let status = Command::new(script("possible")).status()?;
    ensure!(status.success(), "cgroups cannot be created here");
    Ok(())
}

/// Returns the archives of the image of ilb and of the others that the cluster needs, which are built if need be.
fn images(ilb: &Path, folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let output = Command::new(script("images")).arg(folder).stderr(std::process::Stdio::inherit()).output()?;
    ensure!(output.status.success(), "the images cannot be built");
    let others = String::from_utf8(output.stdout)?;
    let ilb = ilb.canonicalize().with_context(|| format!("no image {}", ilb.display()))?;
    Ok([ilb].into_iter().chain(others.lines().map(PathBuf::from)).collect())
}
