//! Of a Traefik in another network namespace no connection is visible. That is said once, and it is round robin then.

use std::process::Command;

use ilb_testbed::{ApiServer, Ilb, Pods, Process, eventually};

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_traefik_elsewhere_is_noticed_and_said_once() {
    let api_server = ApiServer::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("ilb.log");
    // In a network namespace without any route, so that nothing is ever sent to the address, which belongs to nobody.
    let mut command = Command::new("unshare");
    command
        .args(["--net", "--map-root-user", "--", "sh", "-c", "ip link set lo up && exec \"$0\""])
        .arg(Ilb::build().unwrap())
        .env("KUBECONFIG", api_server.kubeconfig())
        .env("POD_LABELS", Pods::SELECTOR)
        .env("TRAEFIK_API_URL", "http://192.0.2.1:8080/api/providers/rest");
    let mut ilb = Process::start("ilb", &command, &log).unwrap();
    let warning = eventually("it is said", async || {
        ilb.check_running()?;
        let said = std::fs::read_to_string(&log)?;
        let warnings: Vec<_> = said.lines().filter(|line| line.contains("Least connections is not possible")).collect();
        anyhow::ensure!(warnings.len() == 1, "{} warnings: {said}", warnings.len());
        Ok(warnings[0].to_owned())
    })
    .await
    .unwrap();
    assert!(warning.contains("another network namespace") && warning.contains("LB_METHOD=roundrobin"), "{warning}");
}
