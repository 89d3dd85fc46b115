//! Settings in a file allow several pools, and changes take effect without a restart and without touching a connection.

use std::{fs, io::Write, process::Command, time::Duration};

use ilb_testbed::{ApiServer, Backend, BareTraefik, Behaviour, Connection, Net, Pods, Traefik, eventually};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{Api, api::PostParams};
use serde_json::json;

use crate::configured::{Configured, PORT, SECOND_PORT, folder, landed, listed, pool, until_landed};

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn each_pool_serves_its_own_backends_at_its_own_entry_point() {
    let (folder, api_server) = (folder(), ApiServer::shared().await.unwrap());
    let traefik = Traefik::with_entry_points(&[("second", SECOND_PORT)]).await.unwrap();
    let pods = api_server.new_namespace("apps").await.unwrap();
    let pod = Backend::start(Net::for_this_process().unwrap().group().address(0, PORT), Behaviour::Echo).await.unwrap();
    pods.create_ready("pod-0", pod.address().ip()).await.unwrap();
    let (other, file) = listed(&folder, "other").await;
    let settings = format!(
        "traefik: {{urls: ['{}']}}\npools:\n- {{name: pods, selector: {}, namespaces: [{}], backendPort: {PORT}, \
         allowLoopback: true, method: roundrobin}}\n{}",
        traefik.rest_url(),
        Pods::SELECTOR,
        pods.namespace(),
        pool("listed", "second", &file)
    );
    let kubeconfig = api_server.kubeconfig().display().to_string();
    let configured = Configured::start(folder, &settings, &[("KUBECONFIG", &kubeconfig)]);
    configured.admin.wait_until_ok("/readyz").await.unwrap();
    assert_eq!(landed(&traefik, 3333).await.unwrap(), pod.address());
    assert_eq!(landed(&traefik, SECOND_PORT).await.unwrap(), other.address());
    let status = configured.admin.status().await.unwrap();
    let shown: Vec<_> = status["pools"].as_array().unwrap().iter().map(|pool| &pool["name"]).collect();
    assert_eq!(shown, ["listed", "pods"]);
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_change_of_the_file_is_applied_and_cuts_no_connection() {
    let folder = folder();
    let traefik = Traefik::with_entry_points(&[("second", SECOND_PORT)]).await.unwrap();
    let ((one, first), (two, second)) = (listed(&folder, "first").await, listed(&folder, "second").await);
    let head = format!("traefik: {{urls: ['{}']}}\n", traefik.rest_url());
    let before = format!("{head}pools:\n{}", pool("a", "tcp", &first));
    let configured = Configured::start(folder, &before, &[]);
    configured.admin.wait_until_ok("/readyz").await.unwrap();
    let mut connection = traefik.connect().await.unwrap();
    assert_eq!(connection.backend(), one.address());

    configured.change(&format!("{head}pools:\n{}{}", pool("a", "tcp", &first), pool("b", "second", &second)));
    until_landed(&traefik, SECOND_PORT, &two).await;
    configured.change(&format!("{head}pools:\n{}", pool("a", "tcp", &second)));
    until_landed(&traefik, 3333, &two).await;
    connection.check_alive().await.unwrap();
    eventually("the removed pool is not served any more", async || {
        anyhow::ensure!(traefik.api("tcp/routers/b@rest").await.is_err());
        Ok(())
    })
    .await
    .unwrap();
    configured.change(&format!("{head}admin: {{hosts: [ilb.example]}}\npools:\n{}", pool("a", "tcp", &second)));
    let message = "These settings take effect at the next start: restart ilb, which ends no connection";
    assert_eq!(configured.ilb.wait_for_log(message).await.unwrap()["settings"], "admin");
    let applied = configured.admin.metric(r#"ilb_config_reloads_total{result="applied"}"#).await.unwrap();
    assert!((applied - 3.0).abs() < 0.5, "{applied}");
    connection.check_alive().await.unwrap();
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn level_and_format_of_the_log_follow_the_file() {
    let folder = folder();
    let traefik = Traefik::start().await.unwrap();
    let ((_, first), (_, second)) = (listed(&folder, "first").await, listed(&folder, "second").await);
    let settings = |log: &str, file: &std::path::Path| {
        format!("traefik: {{urls: ['{}']}}\nlog: {log}\npools:\n{}", traefik.rest_url(), pool("a", "tcp", file))
    };
    let configured = Configured::start(folder, &settings("{level: info}", &first), &[]);
    configured.admin.wait_until_ok("/readyz").await.unwrap();
    // Only text has the level between spaces.
    let steps = [("{level: info, format: text}", " INFO "), ("{level: debug, format: json}", r#""level":"DEBUG""#)];
    for (step, (log, written)) in (0_u8..).zip(steps) {
        configured.change(&settings(log, &first));
        eventually("a reload", async || {
            let applied = configured.admin.metric(r#"ilb_config_reloads_total{result="applied"}"#).await?;
            anyhow::ensure!(applied > f64::from(2 * step) + 0.5, "{applied}");
            Ok(())
        })
        .await
        .unwrap();
        // The settings before decide how a change is logged, and a change of the pool is.
        let before = configured.ilb.output().unwrap().len();
        configured.change(&settings(log, &second));
        eventually("lines of that level and format", async || {
            let output = configured.ilb.output()?;
            anyhow::ensure!(output[before..].contains(written), "{log}: {}", &output[before..]);
            Ok(())
        })
        .await
        .unwrap();
    }
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_wrong_file_is_refused_and_the_settings_before_stay_in_force() {
    let folder = folder();
    let traefik = Traefik::start().await.unwrap();
    let ((one, first), (two, second)) = (listed(&folder, "first").await, listed(&folder, "second").await);
    let settings = |file: &std::path::Path| {
        format!("traefik: {{urls: ['{}']}}\npools:\n{}", traefik.rest_url(), pool("a", "tcp", file))
    };
    let configured = Configured::start(folder, &settings(&first), &[]);
    configured.admin.wait_until_ok("/readyz").await.unwrap();
    configured.change(&format!("{}  colour: red\n", settings(&second)));
    let refused = configured.ilb.wait_for_log("Settings refused: the previous settings stay in effect").await.unwrap();
    assert!(refused["problems"].as_str().unwrap().contains("ilb.yaml:"), "{refused}");
    assert!(configured.admin.metric("ilb_config_last_reload_successful").await.unwrap() < 0.5);
    assert_eq!(landed(&traefik, 3333).await.unwrap(), one.address());
    assert!(configured.admin.is_ok("/readyz").await.unwrap());

    configured.change(&settings(&second));
    until_landed(&traefik, 3333, &two).await;
    assert!(configured.admin.metric("ilb_config_last_reload_successful").await.unwrap() > 0.5);
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_file_that_is_written_in_place_is_applied_when_it_is_finished() {
    let folder = folder();
    let traefik = Traefik::with_entry_points(&[("second", SECOND_PORT)]).await.unwrap();
    let ((_one, first), (two, second)) = (listed(&folder, "first").await, listed(&folder, "second").await);
    let a = format!("traefik: {{urls: ['{}']}}\npools:\n{}", traefik.rest_url(), pool("a", "tcp", &first));
    let b = pool("b", "second", &second);
    let configured = Configured::start(folder, &format!("{a}{b}"), &[]);
    configured.admin.wait_until_ok("/readyz").await.unwrap();
    assert_eq!(landed(&traefik, SECOND_PORT).await.unwrap(), two.address());

    // At each moment it is valid, with one pool.
    let mut file = fs::File::create(configured.folder.path().join("ilb.yaml")).unwrap();
    for part in std::iter::once(a).chain((0..20).map(|number| format!("# {number}\n"))) {
        file.write_all(part.as_bytes()).unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    file.write_all(b.replace("name: b", "name: c").as_bytes()).unwrap();
    drop(file);
    configured.ilb.wait_for_log("Settings changed").await.unwrap();
    let changes = configured.ilb.logged("Settings changed").unwrap();
    assert!(changes.len() == 1 && changes[0]["pools"] == "c" && changes[0]["removed"] == "b", "{changes:?}");
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_pipe_in_place_of_the_file_is_refused_and_nothing_waits_for_it() {
    let folder = folder();
    let traefik = Traefik::start().await.unwrap();
    let ((one, first), (two, second)) = (listed(&folder, "first").await, listed(&folder, "second").await);
    let settings = |file: &std::path::Path| {
        format!("traefik: {{urls: ['{}']}}\npools:\n{}", traefik.rest_url(), pool("a", "tcp", file))
    };
    let configured = Configured::start(folder, &settings(&first), &[]);
    configured.admin.wait_until_ok("/readyz").await.unwrap();

    let (pipe, file) = (configured.folder.path().join("pipe"), configured.folder.path().join("ilb.yaml"));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    fs::rename(pipe, file).unwrap();
    let refused = configured.ilb.wait_for_log("Settings refused: the previous settings stay in effect").await.unwrap();
    assert!(refused["problems"].as_str().unwrap().ends_with("ilb.yaml: it is not a regular file"), "{refused}");
    assert!(configured.admin.is_ok("/livez").await.unwrap() && configured.admin.is_ok("/readyz").await.unwrap());
    assert_eq!(landed(&traefik, 3333).await.unwrap(), one.address());

    configured.change(&settings(&second));
    until_landed(&traefik, 3333, &two).await;
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_config_map_is_followed_and_a_changed_pool_serves_its_old_backends_until_it_knows_the_new_ones() {
    let folder = folder();
    let traefik = Traefik::start().await.unwrap();
    let ((one, first), (two, second)) = (listed(&folder, "first").await, listed(&folder, "second").await);
    let settings = |file: &std::path::Path| {
        format!("traefik: {{urls: ['{}']}}\npools:\n{}", traefik.rest_url(), pool("a", "tcp", file))
    };
    // The kubelet, too, lets the name lead through a link to a folder, and replaces the link.
    let volume = folder.path().to_owned();
    let mounted = |generation: &str, settings: &str| {
        let (version, link) = (volume.join(generation), volume.join("..new"));
        fs::create_dir(&version).unwrap();
        fs::write(version.join("ilb.yaml"), settings).unwrap();
        std::os::unix::fs::symlink(generation, &link).unwrap();
        fs::rename(link, volume.join("..data")).unwrap();
    };
    mounted("..1", &settings(&first));
    std::os::unix::fs::symlink("..data/ilb.yaml", volume.join("ilb.yaml")).unwrap();
    let configured = Configured::with_folder(folder, &[]);
    configured.admin.wait_until_ok("/readyz").await.unwrap();
    assert_eq!(landed(&traefik, 3333).await.unwrap(), one.address());

    mounted("..2", &settings(&volume.join("missing.yaml")));
    configured.ilb.wait_for_log("Settings changed").await.unwrap();
    configured.ilb.wait_for_log("Discovery is stale: backends that it cannot see stay as seen last").await.unwrap();
    assert!(configured.admin.is_ok("/readyz").await.unwrap());
    assert_eq!(landed(&traefik, 3333).await.unwrap(), one.address());

    mounted("..3", &settings(&second));
    until_landed(&traefik, 3333, &two).await;
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_service_is_followed_by_its_endpoint_slices() {
    let (api_server, traefik) = (ApiServer::shared().await.unwrap(), Traefik::start().await.unwrap());
    let namespace = api_server.new_namespace("shop").await.unwrap();
    let slices: Api<EndpointSlice> = Api::namespaced(api_server.client(), namespace.namespace());
    let slice = serde_json::from_value(json!({
        "metadata": {"name": "db-1", "labels": {"kubernetes.io/service-name": "db"}},
        "addressType": "IPv4",
        "ports": [{"name": "sql", "port": 5432, "protocol": "TCP"}],
        "endpoints": [{"addresses": ["10.1.0.1"], "conditions": {"ready": true}}],
    }));
    slices.create(&PostParams::default(), &slice.unwrap()).await.unwrap();
    let (kubeconfig, url) = (api_server.kubeconfig().display().to_string(), traefik.rest_url());
    let _configured = Configured::start(
        folder(),
        &format!("pools: [{{service: db, namespaces: [{}], backendPort: sql}}]", namespace.namespace()),
        &[("KUBECONFIG", &kubeconfig), ("TRAEFIK_API_URL", &url)],
    );
    eventually("its endpoint is in force", async || {
        let weights = traefik.weights().await?;
        anyhow::ensure!(weights.keys().eq([&"10.1.0.1:5432".parse()?]), "{weights:?}");
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn several_urls_are_a_fleet_of_which_each_gets_the_configuration() {
    let folder = folder();
    let (one, two) = (BareTraefik::builder().start().await.unwrap(), BareTraefik::builder().start().await.unwrap());
    let (backend, file) = listed(&folder, "backends").await;
    let settings =
        format!("traefik: {{urls: ['{}', '{}']}}\npools:\n{}", one.url(), two.url(), pool("a", "tcp", &file));
    let configured = Configured::start(folder, &settings, &[]);
    configured.admin.wait_until_ok("/readyz").await.unwrap();
    for traefik in [&one, &two] {
        let connection = Connection::open(traefik.entry_point()).await.unwrap();
        assert_eq!(connection.backend(), backend.address());
    }
    let logged = configured.ilb.logged("Least connections is not possible: balancing by round robin").unwrap();
    assert_eq!(logged.len(), 1, "once, whatever the number of Traefiks and pools");
}
