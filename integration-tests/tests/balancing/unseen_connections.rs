//! The connections of a Traefik in another network namespace cannot be counted: ilb logs that once and balances by round
//! robin.

use std::process::Command;

use ilb_testbed::{ApiServer, Ilb, Pods, Process, eventually, without_settings};

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_traefik_in_another_network_namespace_is_noticed_and_logged_once() {
    let api_server = ApiServer::shared().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("ilb.log");
    // A network namespace without any route, so that nothing is ever sent to the address, which is reserved for documents.
    let mut command = Command::new("unshare");
    without_settings(&mut command);
    command
        .args(["--net", "--map-root-user", "--", "sh", "-c", "ip link set lo up && exec \"$0\""])
        .arg(Ilb::build().unwrap())
        .env("KUBECONFIG", api_server.kubeconfig())
        .env("POD_LABELS", Pods::SELECTOR)
        .env("TRAEFIK_API_URL", "http://192.0.2.1:8080/api/providers/rest");
    let mut ilb = Process::start("ilb", &command, &log).unwrap();
    let warning = eventually("the warning is logged", async || {
        ilb.check_running()?;
        let text = std::fs::read_to_string(&log)?;
        let warnings: Vec<_> = text.lines().filter(|line| line.contains("Least connections is not possible")).collect();
        anyhow::ensure!(warnings.len() == 1, "{} warnings: {text}", warnings.len());
        Ok(warnings[0].to_owned())
    })
    .await
    .unwrap();
    assert!(warning.contains("another network namespace") && warning.contains("LB_METHOD=roundrobin"), "{warning}");
}
