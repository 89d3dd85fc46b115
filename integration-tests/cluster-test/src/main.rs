//! `make cluster-test` tries the chart and the image on a real one-node Kubernetes.
//!
//! Each check prints one line: the promise, the observation and the time. The first failure ends the run and prints the
//! state of the cluster. Exit code 77 means that everything was skipped, and so nothing was proved.

mod application;
mod balancer;
mod checks;
mod cluster;
mod family;
mod report;

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Instant,
};

use anyhow::{Context, ensure};
use checks::{backends, closing, crashes, families, install, laptop, policy, pools, release, replicas, security};
use cluster::{Cluster, script};
use family::Family;
use report::Report;

/// Exit code of a skipped test.
const SKIPPED_EXIT_CODE: u8 = 77;

/// Runs `cluster-test IMAGE-OF-ILB FOLDER`. The folder is for the other images and for logs, and is kept from run to run.
///
/// All checks run in a cluster of IPv4, and then some in one of IPv6. With `FAMILY=ipv6` or `FAMILY=dual` all but those of the
/// network policy run in such a cluster, and no others.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<_> = env::args_os().skip(1).map(PathBuf::from).collect();
    let [image, folder] = &arguments[..] else { anyhow::bail!("use: make cluster-test") };
    let family =
        env::var("FAMILY").ok().filter(|family| !family.is_empty()).map(|family| family.parse()).transpose()?;
    let total = match family {
        None => CHECKS + POLICY_CHECKS + SHORT_CHECKS,
        Some(Family::Ipv4) => CHECKS + POLICY_CHECKS,
        Some(Family::Dual) => CHECKS + 1,
        Some(Family::Ipv6) => CHECKS,
    };
    if let Err(reason) = possible() {
        println!("cluster-test: skipped, nothing was proved: {reason:#}");
        println!("cluster-test: 0 passed, 0 failed, {total} skipped");
        return Ok(ExitCode::from(SKIPPED_EXIT_CODE));
    }
    let begun = Instant::now();
    let images = images(image, folder)?;
    let logs = folder.join("logs");
    let cluster = Cluster::start(&images, &logs, family.unwrap_or(Family::Ipv4))?;
    let mut report = Report::default();
    run(&cluster, &mut report).await;
    end(cluster, &logs, begun)?;
    if family.is_none() && !report.has_failed() {
        let logs = folder.join("logs-of-ipv6");
        let cluster = Cluster::start(&images, &logs, Family::Ipv6)?;
        run_shortly(&cluster, &mut report).await;
        end(cluster, &logs, begun)?;
    }
    Ok(if report.sum_up(total) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Ends a cluster, and prints whether something is left of it.
fn end(cluster: Cluster, logs: &Path, begun: Instant) -> anyhow::Result<()> {
    let ended = cluster.end();
    let left = if ended.is_ok() { "nothing left behind" } else { "SOMETHING LEFT BEHIND" };
    println!(
        "     cluster ended, {left}; its components' logs are in {}; {:.0} s",
        logs.display(),
        begun.elapsed().as_secs_f64()
    );
    ended
}

/// Runs a check, and returns from the function if it fails.
macro_rules! check {
    ($cluster:ident, $report:ident, $promise:literal, $check:path) => {
        if !$report.check($cluster, $promise, $check($cluster)).await {
            return;
        }
    };
}

/// The number of checks in [`run`], without those of one kind of cluster.
const CHECKS: u32 = 30;

/// The number of checks of the network policy. kube-router 2.1.0 cannot set up its rules where there is IPv6 alone: it names
/// sets of addresses that do not exist.
const POLICY_CHECKS: u32 = 3;

/// Runs all checks in order. Each needs the state that the one before has left.
async fn run(cluster: &Cluster, report: &mut Report) {
    check!(cluster, report, "the application runs", install::application_runs);
    check!(cluster, report, "helm install with the README's command", install::readme_command_installs);
    check!(cluster, report, "clients in a pod reach the backends", install::client_reaches_backends);
    check!(
        cluster,
        report,
        "the service account has the rights of the Role",
        security::account_has_exactly_the_rights_of_the_role
    );
    check!(cluster, report, "Traefik's write API is out of reach", security::write_api_is_out_of_reach);
    check!(cluster, report, "metrics of both containers", install::metrics_are_served);
    check!(cluster, report, "helm test", release::helm_test_passes);
    check!(cluster, report, "backends scale up and down", backends::scaling_loses_nothing);
    check!(cluster, report, "backends roll", backends::rolling_loses_nothing);
    check!(cluster, report, "a backend is deleted hard", backends::hard_deleted_backend_is_left_out);
    check!(cluster, report, "the ilb container is killed", crashes::end_of_ilb_touches_nothing);
    check!(cluster, report, "the Traefik container is killed", crashes::end_of_traefik_is_repaired);
    check!(cluster, report, "documented commands, those of the predecessor too", install::documented_commands_work);
    check!(cluster, report, "the ilb containers of two pods are killed", crashes::end_of_one_ilb_of_two_is_not_noticed);
    check!(cluster, report, "kubectl ilb shows both, collects a bundle and checks the cluster", laptop::looked_at);
    check!(cluster, report, "one of the two is left", crashes::one_replica_is_left);
    check!(cluster, report, "helm upgrade to another chart and other values", release::upgrade_cuts_nothing);
    check!(cluster, report, "helm rollback", release::rollback_cuts_nothing);
    check!(
        cluster,
        report,
        "a pool is added, and no new pod can start",
        pools::pool_of_a_stuck_rollout_harms_no_old_pod
    );
    check!(cluster, report, "the rollout proceeds", pools::pool_is_served_once_the_rollout_proceeds);
    check!(cluster, report, "the closer, in a release of its own", closing::closer_runs_where_it_is_admitted);
    check!(cluster, report, "held connections are levelled after a scale-out", closing::scale_out_is_levelled);
    check!(cluster, report, "a deleted pod is drained before it is killed", closing::deleted_pod_is_drained);
    check!(cluster, report, "the role of the primary moves", closing::moved_role_is_followed);
    check!(cluster, report, "that release is uninstalled", closing::closing_release_is_uninstalled);
    check!(cluster, report, "three replicas, in a release of their own", replicas::replicas_balance_as_one);
    check!(
        cluster,
        report,
        "that release is upgraded, and its old replicas drain",
        replicas::upgrade_keeps_totals_level
    );
    check!(cluster, report, "it is uninstalled", replicas::replicas_are_uninstalled);
    if cluster.family() == Family::Ipv4 {
        check!(cluster, report, "a network policy shuts strangers out", policy::strangers_are_shut_out);
        check!(cluster, report, "a network policy lets through what is needed", policy::what_is_needed_passes);
        check!(cluster, report, "a network policy lets nothing else through", policy::nothing_else_passes);
    }
    if cluster.family() == Family::Dual {
        check!(cluster, report, "a Service of both families", families::service_of_both_families_is_served);
    }
    check!(cluster, report, "helm uninstall leaves nothing", release::uninstall_leaves_nothing);
    check!(cluster, report, "the application is untouched", release::application_is_untouched);
}

/// The number of checks in [`run_shortly`].
const SHORT_CHECKS: u32 = 9;

/// Runs those checks in which the family of the addresses matters most, in a cluster of IPv6.
async fn run_shortly(cluster: &Cluster, report: &mut Report) {
    check!(cluster, report, "with IPv6 alone the application runs", install::application_runs);
    check!(cluster, report, "helm install with the README's command", install::readme_command_installs);
    check!(cluster, report, "clients in a pod reach the backends", install::client_reaches_backends);
    check!(cluster, report, "there is no IPv4", families::everything_has_ipv6_alone);
    check!(cluster, report, "Traefik's write API is out of reach", security::write_api_is_out_of_reach);
    check!(cluster, report, "metrics of both containers", install::metrics_are_served);
    check!(cluster, report, "helm test", release::helm_test_passes);
    check!(cluster, report, "backends scale up and down", backends::scaling_loses_nothing);
    check!(cluster, report, "the Traefik container is killed", crashes::end_of_traefik_is_repaired);
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
