//! A clock that steps changes nothing but which certificates are valid, and that is shown and over when the clock is right.

use std::{fs, time::Duration};

use anyhow::ensure;
use ilb_testbed::{ApiServer, Backend, Behaviour, Clock, FaultProxy, Net, Pods, Traefik, eventually};
use serde_json::Value;

use crate::configured::{Configured, PORT, folder, landed, until_landed};

const STALE: &str = "Discovery is stale: backends that it cannot see stay as seen last";
const HOUR: Duration = Duration::from_secs(3600);

/// Waits until ilb is degraded by exactly this many reasons, the first of which contains `text`.
async fn until_degraded(configured: &Configured, reasons: usize, text: &str) {
    eventually("ilb says what is degraded", async || {
        let status = configured.admin.status().await?;
        let said: Vec<String> = serde_json::from_value(status["degraded"].clone())?;
        ensure!(said.len() == reasons && said.first().is_none_or(|first| first.contains(text)), "{said:?}");
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_step_of_the_clock_changes_only_which_certificates_are_valid() {
    let (mut api_server, folder) = (ApiServer::start_with_validity(HOUR, HOUR).await.unwrap(), folder());
    let proxy = FaultProxy::start(api_server.address()).await.unwrap();
    let (traefik, clock) = (Traefik::start().await.unwrap(), Clock::new(folder.path()).unwrap());
    let pods = api_server.new_namespace("clock").await.unwrap();
    let group = Net::for_this_process().unwrap().group();
    let start = async |index| Backend::start(group.address(index, PORT), Behaviour::Echo).await.unwrap();
    let backends = [start(0).await, start(1).await, start(2).await];

    let mut kubeconfig: Value = serde_json::from_str(&fs::read_to_string(api_server.kubeconfig()).unwrap()).unwrap();
    let cluster = &mut kubeconfig["clusters"][0]["cluster"];
    cluster["server"] = format!("https://{}", proxy.address()).into();
    cluster["tls-server-name"] = api_server.address().ip().to_string().into();
    let file = folder.path().join("kubeconfig");
    fs::write(&file, kubeconfig.to_string()).unwrap();
    let settings = format!(
        "traefik: {{urls: ['{}']}}\npools:\n- {{name: a, entryPoint: tcp, selector: {}, namespaces: [{}], backendPort: {PORT}, \
         allowLoopback: true}}\n",
        traefik.rest_url(),
        Pods::SELECTOR,
        pods.namespace(),
    );
    let (file, of_clock) = (file.display().to_string(), clock.variables());
    let mut variables = vec![("KUBECONFIG", file.as_str())];
    variables.extend(of_clock.iter().map(|(name, value)| (*name, value.as_str())));
    let replace = async |old: usize, new: usize| {
        pods.create_ready(&format!("pod-{new}"), backends[new].address().ip()).await.unwrap();
        if old != new {
            pods.remove(&format!("pod-{old}")).await.unwrap();
        }
    };
    replace(0, 0).await;
    let configured = Configured::start(folder, &settings, &variables);
    until_landed(&traefik, 3333, &backends[0]).await;
    let mut connection = traefik.connect().await.unwrap();

    // Half an hour is within the validity: changes are followed, on new connections too.
    clock.set("+1800").unwrap();
    proxy.reset();
    replace(0, 1).await;
    until_landed(&traefik, 3333, &backends[1]).await;
    clock.set("-1800").unwrap();
    proxy.reset();
    replace(1, 2).await;
    until_landed(&traefik, 3333, &backends[2]).await;

    // What comes back within a minute is summed up in the log.
    for (offset, reason) in [("+7200", Some("certificate expired")), ("-7200", None)] {
        clock.set(offset).unwrap();
        // A TLS session that is resumed is not checked again. One that the API server does not know any more cannot be.
        api_server.kill().unwrap();
        api_server.restart().await.unwrap();
        until_degraded(&configured, 1, "not updated: certificate").await;
        assert!(configured.admin.is_ok("/readyz").await.unwrap() && configured.admin.is_ok("/livez").await.unwrap());
        assert_eq!(landed(&traefik, 3333).await.unwrap(), backends[2].address(), "the backends known last stay");
        if let Some(reason) = reason {
            eventually("the log has the reason", async || {
                let lines = configured.ilb.logged(STALE)?;
                let names_it = |line: &Value| line["error"].as_str().is_some_and(|error| error.contains(reason));
                ensure!(lines.iter().any(names_it), "{lines:?}");
                Ok(())
            })
            .await
            .unwrap();
        }
        clock.set("+0").unwrap();
        until_degraded(&configured, 0, "").await;
    }
    replace(2, 0).await;
    until_landed(&traefik, 3333, &backends[0]).await;
    connection.check_alive().await.unwrap();
}
