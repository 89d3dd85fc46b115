//! Each command prints its answer for people or for programs, and exits with the documented code.

use std::{fs, process::Stdio};

use anyhow::ensure;
use ilb_testbed::{ApiServer, Crowd, Ilb, World, eventually};
use serde_json::Value;
use tokio::{io::AsyncWriteExt, process::Command};

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn status_shows_a_running_ilb_and_its_exit_code_tells_readiness() {
    let mut world = World::start(3).await.unwrap();
    let _connections = world.connect_to_each(3).await.unwrap();

    let shown = world.ilb.ask(&["status"]).await.unwrap();
    println!("{}", shown.stdout);
    assert_eq!((shown.code, shown.stderr.as_str()), (Some(0), ""));
    let address = world.address(0).to_string();
    for part in
        ["ready: all pools active", "Configuration active for", "Backends up to date", "3 ready", &address, "Last push"]
    {
        assert!(shown.stdout.contains(part), "{part}: {}", shown.stdout);
    }
    assert!(!shown.stdout.contains('\u{1b}'), "colours are for terminals");

    let json = world.ilb.ask(&["status", "-o", "json"]).await.unwrap();
    let status: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((&status["ready"], status["pools"][0]["backends"].as_array().map(Vec::len)), (&true.into(), Some(3)));

    world.traefik.kill().unwrap();
    world.admin.wait_until_failing("/readyz").await.unwrap();
    let shown = world.ilb.ask(&["status"]).await.unwrap();
    assert_eq!(shown.code, Some(3));
    for part in ["not ready: pool default: Traefik cannot be reached", "Configuration not verified: unreachable"] {
        assert!(shown.stdout.contains(part), "{part}: {}", shown.stdout);
    }

    world.ilb.terminate().await.unwrap();
    let unreachable = world.ilb.ask(&["status"]).await.unwrap();
    assert_eq!((unreachable.code, unreachable.stdout.as_str()), (Some(1), ""));
    let complaint = &unreachable.stderr;
    assert!(complaint.contains("no ilb can be reached") && complaint.contains("--url"), "{complaint}");
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_bundle_has_what_a_running_ilb_tells_and_says_what_is_missing() {
    let mut world = World::start(2).await.unwrap();
    let _connections = world.connect_to_each(2).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("bundle.tar");
    let bundle = bundle.to_str().unwrap();
    let made = world.ilb.ask(&["bundle", "--file", bundle, "--connections"]).await.unwrap();
    assert_eq!((made.code, made.stdout.as_str()), (Some(0), ""), "{made:?}");
    assert!(made.stderr.contains("bundle.tar: 4 of 4 files"), "{}", made.stderr);
    let unpacked = Command::new("tar").args(["-xf", bundle, "-C"]).arg(folder.path()).status().await.unwrap();
    assert!(unpacked.success());
    let inside = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let inside = inside.filter(|path| path.is_dir()).collect::<Vec<_>>();
    let [inside] = &inside[..] else { panic!("not one folder: {inside:?}") };
    let read = |file: &str| fs::read_to_string(inside.join(file)).unwrap();
    let json = |file: &str| serde_json::from_str::<Value>(&read(file)).unwrap();
    assert_eq!(json("ilb/status.json")["pools"][0]["backends"].as_array().map(Vec::len), Some(2));
    let connections = json("ilb/connections.json")["connections"].as_array().unwrap().clone();
    for index in 0..2 {
        let backend = world.address(index).to_string();
        assert!(connections.iter().any(|row| row["backend"] == backend.as_str()), "{backend}: {connections:?}");
    }
    assert!(json("ilb/events.json")["events"].as_array().is_some_and(|events| !events.is_empty()));
    assert!(read("ilb/metrics.txt").contains("ilb_build_info"));
    assert_eq!(json("manifest.json")["missing"], Value::Array(Vec::new()));

    // What exists is kept, and where nothing answers there is no file.
    let again = world.ilb.ask(&["bundle", "--file", bundle]).await.unwrap();
    assert!(again.code == Some(1) && again.stderr.contains("name another with --file"), "{again:?}");
    world.ilb.terminate().await.unwrap();
    let other = folder.path().join("other.tar");
    let silent = world.ilb.ask(&["bundle", "--file", other.to_str().unwrap()]).await.unwrap();
    assert!(silent.code == Some(1) && silent.stderr.contains("no ilb can be reached"), "{silent:?}");
    assert!(!other.exists());
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn plan_shows_what_would_be_pushed_and_pushes_nothing() {
    let mut world = World::start(3).await.unwrap();
    let mut crowd = Crowd::default();
    for _ in 0..30 {
        crowd.join(&world.traefik).await.unwrap();
    }
    // Without ilb nothing is pushed any more, and one backend has lost connections.
    world.ilb.terminate().await.unwrap();
    crowd.leave(world.address(0), 8);
    let reloads = world.traefik.reloads().await.unwrap();

    let shown = world.ilb.ask(&["plan"]).await.unwrap();
    println!("{}{}", shown.stdout, shown.stderr);
    assert_eq!((shown.code, shown.stderr.as_str()), (Some(0), ""));
    for part in
        ["3 ready", "Least connections", "CAPACITY", "WEIGHT", "less full: gets the next", "Nothing was pushed."]
    {
        assert!(shown.stdout.contains(part), "{part}: {}", shown.stdout);
    }

    let json = world.ilb.ask(&["plan", "-o", "json"]).await.unwrap();
    let plan: Value = serde_json::from_str(&json.stdout).unwrap();
    let of_first = &plan["pools"][0]["backends"][0];
    assert_eq!(of_first["address"], world.address(0).to_string());
    assert!(of_first["head_start"].as_u64() > Some(0), "{of_first}");
    let services = plan["configuration"]["tcp"]["services"].as_object().unwrap();
    assert!(services.contains_key("default"), "{services:?}");
    assert!(!json.stdout.contains("PRIVATE KEY"));
    assert_eq!(world.traefik.reloads().await.unwrap(), reloads);
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn plan_shows_that_connections_cannot_be_counted_and_plans_round_robin() {
    let world = World::start(2).await.unwrap();
    // The address is reserved for documents: it belongs to no host.
    let elsewhere = ["plan", "--traefik-urls", "http://192.0.2.1:8080"];
    let shown = world.ilb.ask(&elsewhere).await.unwrap();
    println!("{}{}", shown.stdout, shown.stderr);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    for part in ["Round robin", "another network namespace", "round robin: connections cannot be counted"] {
        assert!(shown.stdout.contains(part), "{part}: {}", shown.stdout);
    }
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn plan_names_why_a_pod_is_not_taken() {
    let world = World::start(2).await.unwrap();
    // Networks that are reserved for documents, in which no pod is.
    let shown = world.ilb.ask(&["plan", "--allowed-networks", "192.0.2.0/24"]).await.unwrap();
    assert_eq!(shown.code, Some(0), "{shown:?}");
    for part in ["0 ready", "Complaints", &World::pod(0), &World::pod(1), "left out"] {
        assert!(shown.stdout.contains(part), "{part}: {}", shown.stdout);
    }
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_restart_of_a_pod_is_shown_and_pushes_nothing() {
    let world = World::start(2).await.unwrap();
    // Those for other reasons, such as the age of the counts, go on.
    let pushes = async || {
        let text = world.admin.metrics().await.unwrap();
        let of_backends = |line: &&str| line.starts_with("ilb_pushes_total{") && line.contains("reason=\"backends\"");
        let count = |line: &str| line.rsplit(' ').next().and_then(|count| count.parse::<f64>().ok());
        text.lines().filter(of_backends).filter_map(count).sum::<f64>()
    };
    let before = pushes().await;
    world.pods.set_restarts(&World::pod(1), 1).await.unwrap();
    world.pods.set_restarts(&World::pod(1), 2).await.unwrap();
    eventually("the restarts are shown", async || {
        let shown = world.ilb.ask(&["status", "--url", &world.admin.url("")]).await?;
        ensure!(shown.stdout.contains("2 restarts; "), "{}", shown.stdout);
        Ok(())
    })
    .await
    .unwrap();
    let (_, events) = world.admin.get("/events").await.unwrap();
    assert!(events.contains(&format!("{} has restarted", World::pod(1))), "{events}");
    assert!((pushes().await - before).abs() < 0.5, "a restart alone changes nothing in Traefik");
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn plan_without_an_api_server_fails_and_names_the_pool() {
    let mut world = World::on(ApiServer::start().await.unwrap(), 1, &[]).await.unwrap();
    world.api_server.kill().unwrap();
    let failed = world.ilb.ask(&["plan"]).await.unwrap();
    assert_eq!((failed.code, failed.stdout.as_str()), (Some(1), ""), "{failed:?}");
    assert!(failed.stderr.contains("pool default"), "{}", failed.stderr);
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn top_follows_what_happens_in_a_terminal_and_leaves_it_as_it_was() {
    let mut world = World::start(2).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("screen");
    let ilb = Ilb::build().unwrap();
    // `script` (util-linux) gives it a terminal, and records the output.
    let top = format!("stty cols 100 rows 30; exec {} top --url {}", ilb.display(), world.admin.url(""));
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--flush", "--command", &top]).arg(&file);
    script.env("TERM", "xterm-256color").env_remove("NO_COLOR").stdin(Stdio::piped()).stdout(Stdio::null());
    let mut script = script.kill_on_drop(true).spawn().unwrap();
    let shows = async |part: &str| {
        let look = async || {
            let text = String::from_utf8_lossy(&fs::read(&file)?).into_owned();
            ensure!(text.contains(part), "{text}");
            Ok(text)
        };
        eventually(part, look).await.unwrap()
    };
    let painted = shows(&world.address(1).to_string()).await;
    assert!(painted.contains(ANOTHER_SCREEN) && !painted.contains(FORMER_SCREEN), "{painted:?}");
    assert!(painted.contains("\u{1b}[3"), "there are colours: {painted:?}");
    world.add_pod(2).await.unwrap();
    shows(&world.address(2).to_string()).await;

    script.stdin.take().unwrap().write_all(b"q").await.unwrap();
    assert!(script.wait().await.unwrap().success());
    shows(FORMER_SCREEN).await;
}

/// Escape sequences that switch a terminal to another screen, and back to the former one.
const ANOTHER_SCREEN: &str = "\u{1b}[?1049h";
const FORMER_SCREEN: &str = "\u{1b}[?1049l";

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn subcommands_that_need_no_cluster_work_without_one() {
    let version = Ilb::ask_with(&[], &["version", "-o", "json"]).await.unwrap();
    let version: Value = serde_json::from_str(&version.stdout).unwrap();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    for shell in ["bash", "zsh", "fish"] {
        let script = Ilb::ask_with(&[], &["completions", shell]).await.unwrap();
        assert!(script.code == Some(0) && script.stdout.contains("completions"), "{script:?}");
    }
    let page = Ilb::ask_with(&[], &["man"]).await.unwrap();
    for part in [".TH ilb 1", "EXIT STATUS", "plan", "POD_LABELS"] {
        assert!(page.stdout.contains(part), "{part}: {}", page.stdout);
    }
    let wrong = Ilb::ask_with(&[], &["status", "--url", "localhost:8081"]).await.unwrap();
    assert!(wrong.code == Some(2) && wrong.stderr.contains("http://localhost:8081"), "{wrong:?}");
}
