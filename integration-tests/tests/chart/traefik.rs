//! The real Traefik accepts the configuration that the chart renders for it.

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    process::Command,
    time::Duration,
};

use ilb_testbed::{Chart, Net, Process, Rendered, eventually, http_client, tools};
use serde_json::Value;

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn traefik_listens_for_every_pool_and_closes_connections_before_the_first_configuration() {
    let chart = Chart::new().unwrap();
    for feature in ["defaults", "pools", "containers", "drain"] {
        let (_, values) = chart.features().unwrap().into_iter().find(|(name, _)| name == feature).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let host = Net::for_this_process().unwrap().host().unwrap();
        let ports = write(&chart.render(&values).unwrap(), folder.path(), host);
        let mut command = Command::new(tools::path("traefik").unwrap());
        command.arg(format!("--configfile={}", folder.path().join("traefik.yml").display()));
        let log = folder.path().join("traefik.log");
        let mut traefik = Process::start("traefik", &command, &log).unwrap();
        let routers = format!("http://{host}:8080/api/tcp/routers/bootstrap@file");
        eventually("the file that it starts with is in force", async || {
            traefik.check_running()?;
            let router: Value = http_client()?.get(&routers).send().await?.error_for_status()?.json().await?;
            anyhow::ensure!(router["status"] == "enabled", "{router}");
            Ok(())
        })
        .await
        .unwrap();
        let health = http_client().unwrap().get(format!("http://{host}:9090/ping")).send().await.unwrap();
        assert!(health.status().is_success(), "{feature}");
        for port in ports {
            let mut client = TcpStream::connect(SocketAddr::from((host, port))).unwrap();
            client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            // Either call may find the connection closed already.
            let _ = client.write_all(b"GET / HTTP/1.0\r\n\r\n");
            let mut answer = Vec::new();
            let _ = client.read_to_end(&mut answer);
            assert_eq!(String::from_utf8_lossy(&answer), "", "{feature}: HTTP at port {port}");
        }
        let logged = fs::read_to_string(&log).unwrap();
        assert!(!logged.contains(r#""level":"error""#), "{feature}: {logged}");
    }
}

/// Writes both files, changed to `host` and `folder`. Returns the ports for clients.
fn write(rendered: &Rendered, folder: &std::path::Path, host: Ipv4Addr) -> Vec<u16> {
    let mut settings = rendered.file("traefik.yml").unwrap();
    settings["providers"]["file"]["filename"] = folder.join("bootstrap.yml").display().to_string().into();
    let mut ports = Vec::new();
    for (name, entry_point) in settings["entryPoints"].as_object_mut().unwrap() {
        let port = entry_point["address"].as_str().unwrap().rsplit_once(':').unwrap().1.to_owned();
        entry_point["address"] = format!("{host}:{port}").into();
        if name != "traefik" && name != "metrics" {
            ports.push(port.parse().unwrap());
        }
    }
    // JSON is YAML.
    fs::write(folder.join("traefik.yml"), settings.to_string()).unwrap();
    fs::write(folder.join("bootstrap.yml"), rendered.file("bootstrap.yml").unwrap().to_string()).unwrap();
    ports
}
