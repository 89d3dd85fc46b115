//! Many changes leave nothing behind: ilb has as many tasks, files and series as before, and no more memory.

use std::{fs, path::Path};

use anyhow::ensure;
use ilb_testbed::{Admin, Ilb, Net, Traefik, eventually};

/// Backends in each set. None of them runs.
const BACKENDS: u16 = 40;
/// Sets until buffers, caches and the memory of the last pushes have reached their size.
const WARM_UP: u16 = 60;
/// Sets after that. Each replaces all backends, as a whole rollout does.
const SETS: u16 = 400;
/// Bytes that the allocator may take, because it does not fill its pages evenly.
const MEMORY_SLACK_BYTES: f64 = 2e6;

/// The resources of ilb at one moment.
#[derive(Debug)]
struct Resources {
    tasks: f64,
    files: f64,
    memory: f64,
    series: usize,
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn many_changes_leave_no_task_no_file_no_series_and_no_memory_behind() {
    let traefik = Traefik::start().await.unwrap();
    let folder = tempfile::Builder::new().prefix("ilb-churn-").tempdir().unwrap();
    let file = folder.path().join("backends.yaml");
    write(&file, 0);
    let settings = folder.path().join("ilb.yaml");
    let pool = format!("{{file: '{}'}}", file.display());
    fs::write(&settings, format!("traefik: {{urls: ['{}']}}\npools: [{pool}]\n", traefik.rest_url())).unwrap();
    let admin = Admin::new((Net::for_this_process().unwrap().host().unwrap(), 8081).into()).unwrap();
    let (settings, address) = (settings.display().to_string(), admin.address().to_string());
    let mut ilb = Ilb::start(&[("ILB_CONFIG", &settings), ("ILB_ADMIN_ADDRESS", &address)]).unwrap();
    ilb.wait_for_log("Updated").await.unwrap();

    churn(&file, &admin, 1..=WARM_UP).await;
    let before = resources(&admin).await;
    churn(&file, &admin, WARM_UP + 1..=WARM_UP + SETS).await;
    let after = resources(&admin).await;
    println!("before {SETS} sets of {BACKENDS} other backends: {before:?}\nafter: {after:?}");
    ilb.check_running().unwrap();

    assert_eq!((after.tasks, after.series), (before.tasks, before.series));
    assert!(after.files <= before.files, "{before:?} {after:?}");
    assert!(after.memory - before.memory < MEMORY_SLACK_BYTES, "{before:?} {after:?}");
    let metrics = admin.metrics().await.unwrap();
    assert!(metrics.contains(&backend(WARM_UP + SETS, 0)), "the present backends have series");
    assert!(!metrics.contains(&backend(WARM_UP + SETS - 1, 0)), "those before them have none");
}

/// Writes set after set, and waits until each is in force.
async fn churn(file: &Path, admin: &Admin, sets: impl Iterator<Item = u16>) {
    for set in sets {
        write(file, set);
        eventually("the set is in force", async || {
            let weight = format!(r#"ilb_backend_weight{{pool="default",backend="{}"}}"#, backend(set, 0));
            ensure!(admin.metric(&weight).await? > 0.0, "not yet");
            Ok(())
        })
        .await
        .unwrap();
    }
}

async fn resources(admin: &Admin) -> Resources {
    let metric = async |name| admin.metric(name).await.unwrap();
    Resources {
        tasks: metric("ilb_tasks").await,
        files: metric("process_open_fds").await,
        memory: metric("process_resident_memory_bytes").await,
        series: admin.metrics().await.unwrap().lines().filter(|line| line.contains("backend=")).count(),
    }
}

/// Replaces the file by one with the backends of `set`, which no other set has.
fn write(file: &Path, set: u16) {
    let lines: Vec<_> = (0..BACKENDS).map(|index| format!("- address: '{}'\n", backend(set, index))).collect();
    let new = file.with_extension("new");
    fs::write(&new, lines.concat()).unwrap();
    fs::rename(new, file).unwrap();
}

fn backend(set: u16, index: u16) -> String {
    let [high, low] = set.to_be_bytes();
    // These addresses are reserved for benchmarks. Without clients there are no connections to them.
    format!("198.{}.{low}.{}:4444", 18 + u16::from(high), index + 1)
}
