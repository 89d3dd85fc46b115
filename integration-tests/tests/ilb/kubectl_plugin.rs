//! A release has a manifest with which krew installs ilb as a plugin of kubectl.

use std::{fs, path::Path, process::Command};

use ilb_testbed::{Ilb, in_checkout, tools};
use serde_json::Value;

const ARCHES: [&str; 2] = ["amd64", "arm64"];

/// Runs a script of `release` on what the folder has instead of `target`.
fn release(folder: &Path, script: &str, arguments: &[&str]) {
    let mut command = Command::new(in_checkout("release").join(script));
    let output = command
        .args(arguments)
        .env("CARGO_TARGET_DIR", folder)
        .env("SOURCE_DATE_EPOCH", "0")
        .env_remove("RELEASE_FILES")
        .env_remove("RELEASE_VERSION")
        .output()
        .unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Runs a program, and returns what it prints.
fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
#[ignore = "needs the testbed: make test"]
fn krew_installs_what_a_release_packs_as_a_plugin_that_works() {
    let folder = tempfile::tempdir().unwrap();
    let ilb = Ilb::build().unwrap();
    for arch in ARCHES {
        // What `image/build` leaves, of which there is only one program here.
        let context = folder.path().join("image/context").join(arch);
        fs::create_dir_all(&context).unwrap();
        fs::copy(&ilb, context.join("ilb")).unwrap();
        fs::write(context.join("LICENCES.txt"), "licences\n").unwrap();
        release(folder.path(), "program", &[arch]);
    }
    release(folder.path(), "krew", &ARCHES);

    let files = folder.path().join("release-files");
    let file = files.join("kubectl-ilb.yaml");
    let manifest: Value = serde_saphyr::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    // All packages have the version of the workspace.
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(manifest["spec"]["version"], format!("v{version}"));
    let chart: Value = serde_saphyr::from_str(&fs::read_to_string(in_checkout("chart/Chart.yaml")).unwrap()).unwrap();
    let home = chart["home"].as_str().unwrap();
    let platforms = manifest["spec"]["platforms"].as_array().unwrap();
    assert_eq!(platforms.len(), ARCHES.len());
    for (platform, arch) in platforms.iter().zip(ARCHES) {
        assert_eq!(platform["selector"]["matchLabels"], serde_json::json!({"os": "linux", "arch": arch}));
        // `release/page` uploads each file of the folder under its own name, to the release of the tag.
        let uri = platform["uri"].as_str().unwrap();
        let name = uri.strip_prefix(&format!("{home}/releases/download/v{version}/")).unwrap();
        let archive = files.join(name);
        let sum = output(Command::new("sha256sum").arg(&archive));
        assert_eq!(platform["sha256"].as_str(), sum.split_whitespace().next());
        let listed = output(Command::new("tar").arg("-tzf").arg(&archive));
        for moved in platform["files"].as_array().unwrap() {
            let from = moved["from"].as_str().unwrap();
            assert!(listed.lines().any(|line| line == from), "{name} has no {from}: {listed}");
        }
    }

    let this_machine = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let archive = files.join(format!("ilb-{version}-linux-{this_machine}.tar.gz"));
    let root = folder.path().join("krew");
    let mut install = Command::new(tools::path("krew").unwrap());
    install
        .arg("install")
        .arg(format!("--manifest={}", file.display()))
        .arg(format!("--archive={}", archive.display()));
    output(install.env("KREW_ROOT", &root).env("KREW_NO_UPGRADE_CHECK", "1"));
    let plugin = root.join("bin/kubectl-ilb");
    assert!(output(Command::new(&plugin).arg("version")).contains(version));
    // By that name, ilb is a plugin: without any name it looks for replicas in a cluster, and not on this machine.
    let kubeconfig = folder.path().join("no-kubeconfig");
    let asked = Command::new(&plugin).arg("status").env("KUBECONFIG", kubeconfig).output().unwrap();
    let complaint = String::from_utf8(asked.stderr).unwrap();
    assert!(!asked.status.success() && complaint.contains("kubeconfig"), "{complaint}");
}
