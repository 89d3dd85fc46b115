//! The processor time that the real ilb takes for a push, everything included.

use std::{fs, time::Duration};

use anyhow::ensure;
use ilb_benches::processor_time::seconds_of;
use ilb_testbed::{Admin, Ilb, Net, Pods, Traefik, eventually_within};
use tokio::time::sleep;

use crate::scripted_pods::ScriptedPods;

/// Changes of a pod in a second: more than there are pushes, except with few backends.
pub(crate) const CHANGES_PER_SECOND: u32 = 50;
/// Time of the changes before the measurement.
const WARM_UP: Duration = Duration::from_secs(3);
/// Duration of a measurement.
const WINDOW: Duration = Duration::from_secs(20);
/// The variables that the Dockerfile of the image sets.
const VARIABLES_OF_THE_IMAGE: [(&str, &str); 2] = [("MALLOC_ARENA_MAX", "1"), ("MALLOC_MMAP_THRESHOLD_", "65536")];

/// The cost of the pushes of one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PushCost {
    /// Processor time of the process, in ms, divided by the number of pushes.
    pub(crate) cpu_ms_per_push: f64,
    pub(crate) changes_per_push: f64,
}

/// Runs ilb with `backends` pods of which [`CHANGES_PER_SECOND`] change, and measures all processor time of its process:
/// watching, counting, deciding, pushing, proving, and its log, status and metrics.
#[allow(clippy::cast_precision_loss, reason = "counts of a few seconds")]
pub(crate) async fn measure(backends: u16) -> anyhow::Result<PushCost> {
    let (traefik, pods) = (Traefik::start().await?, ScriptedPods::start(backends).await?);
    let folder = tempfile::Builder::new().prefix("bench-apply-").tempdir()?;
    let kubeconfig = folder.path().join("kubeconfig");
    fs::write(&kubeconfig, pods.kubeconfig())?;
    let kubeconfig = kubeconfig.display().to_string();
    let rest_url = traefik.rest_url();
    let admin = Admin::new((Net::for_this_process()?.host()?, 8081).into())?;
    let admin_address = admin.address().to_string();
    let mut variables = vec![
        ("KUBECONFIG", kubeconfig.as_str()),
        ("POD_LABELS", Pods::SELECTOR),
        ("POD_NAMESPACE", "default"),
        ("TRAEFIK_API_URL", &rest_url),
        ("BACKEND_PORT", "5432"),
        ("ILB_ADMIN_ADDRESS", &admin_address),
    ];
    variables.extend(VARIABLES_OF_THE_IMAGE);
    let mut ilb = Ilb::start(&variables)?;
    eventually_within(Duration::from_secs(120), "all backends are in force", async || {
        ilb.check_running()?;
        let known = admin.metric(r#"ilb_pool_backends{pool="default",state="ready"}"#).await?;
        ensure!((known - f64::from(backends)).abs() < 0.5, "{known} backends are ready");
        ensure!(admin.is_ok("/readyz").await?, "it is not ready");
        Ok(())
    })
    .await?;
    let measured = async {
        sleep(WARM_UP).await;
        let id = ilb.process().id().to_string();
        let (changes, pushes, seconds) = (pods.changes(), traefik.reloads().await?, seconds_of(&id)?);
        sleep(WINDOW).await;
        let seconds = seconds_of(&id)? - seconds;
        let (changes, pushes) = (pods.changes() - changes, traefik.reloads().await? - pushes);
        ensure!(pushes > 0, "nothing was pushed in {WINDOW:?}");
        let per_push = |value: f64| value / pushes as f64;
        anyhow::Ok(PushCost { cpu_ms_per_push: per_push(seconds * 1e3), changes_per_push: per_push(changes as f64) })
    };
    let cost = tokio::select! {
        cost = measured => cost?,
        () = pods.change(CHANGES_PER_SECOND) => anyhow::bail!("the changes never end"),
    };
    ilb.check_running()?;
    let lost = ilb.logged("Failed to update")?.len();
    ensure!(lost == 0, "{lost} pushes failed");
    Ok(cost)
}
