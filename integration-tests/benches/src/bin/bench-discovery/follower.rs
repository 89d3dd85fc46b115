//! The process that is measured: it follows pods and does nothing else.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use ilb_discovery::{BackendSet, ClientLimits, PodDiscovery, State, api_client};
use ilb_testbed::{Followed, Pods, pod_ip};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, Config,
    api::{Patch, PatchParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    costs::{Costs, Percentiles},
    heap::live_bytes,
    many_pods,
};

/// The input of the process.
#[derive(Serialize, Deserialize)]
pub(crate) struct Task {
    /// Kubeconfig for the API server.
    pub(crate) kubeconfig: PathBuf,
    pub(crate) namespace: String,
    /// Number of pods, all of them ready.
    pub(crate) pods: usize,
    /// Address of a server that sends events which change nothing.
    pub(crate) unchanged_events_at: SocketAddr,
    pub(crate) unchanged_events: u32,
}

/// Number of status changes that are timed, one after the other.
const CHANGES: u16 = 400;

pub(crate) async fn run(task: Task) -> anyhow::Result<Costs> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let kubeconfig = Kubeconfig::read_from(&task.kubeconfig)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let client = api_client(&config, &ClientLimits::default())?;
    let source = PodDiscovery::new(client.clone(), &task.namespace, Pods::SELECTOR.parse()?, 5432);

    let heap_before = live_bytes();
    let begun = Instant::now();
    let mut followed = Followed::new(&source);
    let seen = followed.until_ready(task.pods).await?;
    let sync_ms = begun.elapsed().as_secs_f64() * 1e3;
    ensure!(seen.sets.len() == 1, "the first set is complete");
    drop(seen);
    // By then the watch is open, and the memory for the list has been freed.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let heap_bytes_per_pod = live_bytes().saturating_sub(heap_before) / task.pods.max(1);
    let (rss_mb, peak_rss_mb) = (memory_mb("VmRSS")?, memory_mb("VmHWM")?);

    let reader = client.clone();
    let event_to_set_us = changes(&task, client, &mut followed).await?;
    drop(followed);
    let unchanged_event_us = unchanged(&task).await?;
    let skipped_event_us = skipped(&many_pods::text(&reader, &task.namespace).await?)?;
    Ok(Costs {
        pods: task.pods,
        json_bytes_per_pod: 0,
        sync_ms: sync_ms.round(),
        rss_mb,
        peak_rss_mb,
        heap_bytes_per_pod,
        event_to_set_us,
        unchanged_event_us,
        skipped_event_us,
    })
}

/// Makes pods not ready and ready again. Returns the times from sending the status to the set.
async fn changes(task: &Task, client: Client, followed: &mut Followed) -> anyhow::Result<Percentiles> {
    let api = Api::<Pod>::namespaced(client, &task.namespace);
    let mut micros = Vec::new();
    for n in 0..CHANGES {
        let (index, ready) = (n / 2, n % 2 == 1);
        let status =
            json!({"status": {"conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]}});
        let (name, parameters) = (many_pods::name(index), PatchParams::default());
        let begun = Instant::now();
        let (patch, wanted) = (Patch::Merge(status), if ready { State::Ready } else { State::NotReady });
        let published = async {
            let address = SocketAddr::new(pod_ip(index), 5432);
            let is_wanted = |set: &BackendSet| set.get(&address).is_some_and(|b| b.state() == wanted);
            followed.until("the change", is_wanted).await?;
            anyhow::Ok(begun.elapsed())
        };
        let (patched, published) = tokio::join!(api.patch_status(&name, &parameters, &patch), published);
        patched?;
        micros.push(published?);
    }
    Ok(Percentiles::from_samples(micros))
}

/// Measures the processor time for an event that changes nothing, in µs.
async fn unchanged(task: &Task) -> anyhow::Result<f64> {
    let config = Config::new(format!("http://{}", task.unchanged_events_at).parse()?);
    let client = api_client(&config, &ClientLimits::default())?;
    let mut followed = Followed::new(&PodDiscovery::new(client, "crowd", Pods::SELECTOR.parse()?, 5432));
    followed.until_ready(1).await?;
    let before = thread_time()?;
    let seen = followed.until("the last event", BackendSet::is_empty).await?;
    ensure!(seen.sets.len() == 1, "events that change nothing publish nothing");
    let spent = thread_time()?.saturating_sub(before);
    Ok((spent.as_secs_f64() * 1e7 / f64::from(task.unchanged_events)).round() / 10.0)
}

/// Measures the processor time for walking through `text` without keeping anything, in µs: the least for any decoder.
fn skipped(text: &str) -> anyhow::Result<f64> {
    const PARSE_COUNT: u32 = 5_000;
    let before = thread_time()?;
    for _ in 0..PARSE_COUNT {
        serde_json::from_str::<serde::de::IgnoredAny>(std::hint::black_box(text))?;
    }
    Ok((thread_time()?.saturating_sub(before).as_secs_f64() * 1e7 / f64::from(PARSE_COUNT)).round() / 10.0)
}

/// Reads a line of this process's status, in MB.
fn memory_mb(field: &str) -> anyhow::Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kb: f64 = line.and_then(|line| line.trim().strip_suffix(" kB")).context("no such line")?.parse()?;
    Ok((kb / 1024.0 * 10.0).round() / 10.0)
}

/// Returns the processor time of this thread.
fn thread_time() -> anyhow::Result<Duration> {
    let schedule = fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(Duration::from_nanos(schedule.split(' ').next().context("no time")?.parse()?))
}
