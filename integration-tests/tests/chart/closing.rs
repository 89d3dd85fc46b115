//! Closing connections on purpose: a container of its own has the only right in the pod, and runs only where it is admitted.

use std::{fs, process::Command};

use ilb_testbed::{ApiServer, Chart, Ilb, Rendered};
use serde_json::{Value, json};

use crate::api_server::{create, pod, would_accept};

/// Two pools with rules, and a third one.
const VALUES: &str = "{
  pools: [
    {name: pg, selector: app=pg, backendPort: 5432, port: 5432, closing: {onSelectorLeft: close}},
    {name: mqtt, selector: app=m, port: 1883, closing: {rebalance: {enabled: true}}},
    {name: game, selector: app=g, backendPort: game, port: 7777}],
  closing: {enabled: true, networks: [10.0.0.0/8, 'fd00::/8']}}";

#[test]
#[ignore = "needs the testbed: make test"]
fn the_closer_has_one_right_and_neither_a_token_nor_a_port() {
    let rendered = Chart::new().unwrap().render(VALUES).unwrap();
    let closer = rendered.container("closer").unwrap();
    let rights = json!({
        "runAsUser": 0,
        "runAsNonRoot": false,
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    assert_eq!(closer["securityContext"], rights);
    assert_eq!(closer["volumeMounts"], json!([{"name": "closer", "mountPath": "/run/ilb"}]));
    assert_eq!(closer["image"], rendered.container("ilb").unwrap()["image"]);
    for key in ["env", "envFrom", "ports", "startupProbe", "readinessProbe"] {
        assert!(closer.get(key).is_none(), "{key}");
    }
    assert_eq!(closer["livenessProbe"]["exec"]["command"], json!(["ilb", "closer", "--check"]));
}

#[test]
#[ignore = "needs the testbed: make test"]
fn the_other_containers_keep_their_restrictions_and_only_ilb_reaches_the_closer() {
    let chart = Chart::new().unwrap();
    let (with, without) =
        (chart.render(VALUES).unwrap(), chart.render(&VALUES.replace("enabled: true, networks", "networks")).unwrap());
    assert!(without.container("closer").is_err() && !without.pod().unwrap().to_string().contains("closer"));
    for container in ["ilb", "traefik"] {
        let security = |rendered: &Rendered| rendered.container(container).unwrap()["securityContext"].clone();
        assert_eq!(security(&with), security(&without), "{container}");
    }
    let spec = &with.pod().unwrap()["spec"];
    assert_eq!(spec["securityContext"], without.pod().unwrap()["spec"]["securityContext"]);
    let volumes = spec["volumes"].as_array().unwrap();
    let volume = volumes.iter().find(|volume| volume["name"] == "closer").unwrap();
    assert_eq!(volume["emptyDir"]["medium"], "Memory");
    let mounts = |container: &str| with.container(container).unwrap()["volumeMounts"].to_string();
    assert!(mounts("ilb").contains("/run/ilb") && !mounts("traefik").contains("/run/ilb"));
    let variables = with.container("ilb").unwrap()["env"].as_array().unwrap().clone();
    let socket = variables.iter().find(|variable| variable["name"] == "ILB_CLOSER_SOCKET").unwrap();
    assert_eq!(socket["value"], "/run/ilb/closer.sock");
}

#[test]
#[ignore = "needs the testbed: make test"]
fn the_closer_starts_before_ilb_and_ends_after_it() {
    let chart = Chart::new().unwrap();
    let names = |values: &str, list: &str| -> Vec<String> {
        let spec = chart.render(values).unwrap().pod().unwrap()["spec"].clone();
        let containers = spec[list].as_array().cloned().unwrap_or_default();
        assert!(list == "containers" || containers.iter().all(|container| container["restartPolicy"] == "Always"));
        containers.iter().map(|container| container["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(VALUES, "initContainers"), ["closer", "ilb"]);
    assert_eq!(names(VALUES, "containers"), ["traefik"]);
    let plain = VALUES.replacen('{', "{nativeSidecar: false, ", 1);
    assert!(names(&plain, "initContainers").is_empty());
    assert_eq!(names(&plain, "containers"), ["closer", "ilb", "traefik"]);
}

#[test]
#[ignore = "needs the testbed: make test"]
fn the_limits_of_the_closer_are_those_of_the_pools() {
    let chart = Chart::new().unwrap();
    assert_eq!(
        flags(&chart.render(VALUES).unwrap()),
        [
            "closer",
            "--socket=/run/ilb/closer.sock",
            "--client-uid=65534",
            "--networks=10.0.0.0/8,fd00::/8",
            "--ports=5432,3333", // a name is no port, and the pool that has one has no rules
            "--entry-ports=5432,1883,7777",
            "--max-rate=200",
            "--max-per-hour=10000",
        ]
    );
    let given = "{pools: [
        {name: a, selector: a=b, port: 4001, backendPort: 5, allowedNetworks: [10.1.0.0/16], closing: {maxAge: 1h}},
        {name: b, selector: a=b, port: 4002, backendPort: '6', allowedNetworks: [10.2.0.0/16, 10.1.0.0/16]}],
      securityContext: {runAsUser: 1000650000}, log: {level: debug}, closing: {enabled: true, CLOSING}}";
    let with = |closing: &str| flags(&chart.render(&given.replace("CLOSING", closing)).unwrap());
    let own = with("maxRate: 7, maxPerHour: 8");
    for flag in [
        "--networks=10.1.0.0/16,10.2.0.0/16",
        "--ports=5,6",
        "--client-uid=1000650000",
        "--max-rate=7",
        "--max-per-hour=8",
        "--log-level=debug",
    ] {
        assert!(own.contains(&flag.to_owned()), "{flag} of {own:?}");
    }
    let other = with("networks: [192.0.2.0/24], ports: [9, 10]");
    assert!(other.contains(&"--networks=192.0.2.0/24".to_owned()), "{other:?}");
    assert!(other.contains(&"--ports=9,10".to_owned()), "{other:?}");
}

/// A flag that the closer does not know would only be noticed in a container that never starts.
#[test]
#[ignore = "needs the testbed: make test"]
fn the_closer_takes_the_flags_that_the_chart_writes() {
    let (chart, ilb) = (Chart::new().unwrap(), Ilb::build().unwrap());
    let code = |flags: &[String]| {
        // With a check instead of the start: nothing listens at this socket.
        let flags = flags.iter().filter(|flag| !flag.starts_with("--socket"));
        let output = Command::new(&ilb).args(flags).args(["--check", "--socket=/nowhere"]).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for values in [VALUES.to_owned(), chart.file("ci/closing-values.yaml").unwrap()] {
        let flags = flags(&chart.render(&values).unwrap());
        assert_eq!(code(&flags).0, Some(1), "{flags:?}: {}", code(&flags).1);
        assert_eq!(code(&[flags, vec!["--max-rat=1".to_owned()]].concat()).0, Some(2), "this proves nothing");
    }
}

#[test]
#[ignore = "needs the testbed: make test"]
fn rules_reach_ilb_and_change_without_new_pods() {
    let chart = Chart::new().unwrap();
    for (values, before, after) in [
        (VALUES, "rebalance: {enabled: true}", "maxAge: 12h"),
        ("{env: {relay: a=b, closing: {maxAge: 1h}}}", "maxAge: 1h", "maxAge: 12h"),
    ] {
        let old = chart.render(values).unwrap();
        let new = chart.render(&values.replace(before, after)).unwrap();
        assert_eq!(old.pod().unwrap(), new.pod().unwrap());
        let pools = new.file("ilb.yaml").unwrap()["pools"].as_array().unwrap().clone();
        assert!(pools.iter().any(|pool| pool["closing"] == json!({"maxAge": "12h"})), "{pools:?}");
    }
}

/// An interval that the chart lets pass and ilb refuses would only be noticed in a pod that never starts.
#[test]
#[ignore = "needs the testbed: make test"]
fn the_chart_takes_the_intervals_that_ilb_takes_together_with_rules() {
    let (chart, ilb) = (Chart::new().unwrap(), Ilb::build().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ilb.yaml");
    let mut taken = 0;
    for interval in ["4s", "4000ms", "3s999ms", "0.05m", "1.5s2.5s", "4s1ms", "4.001s", "4000001us", "0.1m", "1h"] {
        let values = |rules: &str| format!("{{pools: [{{selector: a=b, updateInterval: {interval}{rules}}}]}}");
        let without = chart.render(&values("")).unwrap();
        let mut settings = without.file("ilb.yaml").unwrap();
        settings["pools"][0]["closing"] = json!({"maxAge": "1h"});
        fs::write(&file, settings.to_string()).unwrap();
        let checked = Command::new(&ilb).arg("check").arg("--config").arg(&file).output().unwrap();
        let rendered = chart.render(&values(", closing: {maxAge: 1h}"));
        assert_eq!(rendered.is_ok(), checked.status.success(), "{interval}: {rendered:?}, {checked:?}");
        taken += u32::from(rendered.is_ok());
    }
    assert_eq!(taken, 5);
}

/// The levels, whether a pod without the closer is admitted, and whether one with it is.
const LEVELS: [(Option<&str>, bool, bool); 4] = [
    (None, true, true),
    (Some("privileged"), true, true),
    (Some("baseline"), true, false),
    (Some("restricted"), true, false),
];

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_namespace_that_does_not_admit_the_closer_is_named_before_anything_is_created() {
    let server = ApiServer::shared().await.unwrap();
    let client = server.client();
    for (level, admits_ilb, admits_closer) in LEVELS {
        for (helm, chart) in [("4", Chart::new().unwrap()), ("3", Chart::new().unwrap().with_helm_3().unwrap())] {
            let namespace = format!("closing-{}-{helm}", level.unwrap_or("none"));
            let labels = level.map(|level| json!({"pod-security.kubernetes.io/enforce": level})).unwrap_or_default();
            let object =
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}});
            create(&client, &object).await.unwrap();

            // The truth: a pod of each kind.
            let admitted = async |values: &str| {
                let mut pod = pod(&chart.render(values).unwrap());
                pod["metadata"]["namespace"] = json!(namespace);
                would_accept(&client, &pod).await
            };
            let without = VALUES.replace("enabled: true, networks", "networks");
            let in_user_namespace = VALUES.replacen('{', "{hostUsers: false, ", 1);
            assert_eq!(admitted(&without).await.is_ok(), admits_ilb, "{namespace}");
            for values in [VALUES, &in_user_namespace] {
                let result = admitted(values).await;
                assert_eq!(result.is_ok(), admits_closer, "{namespace}: {result:?}");
                if let Err(error) = result {
                    let error = format!("{error:#}");
                    assert!(error.contains("violates PodSecurity") && error.contains("NET_ADMIN"), "{error}");
                }
            }

            // What the chart says of it.
            let release = chart.release(server.kubeconfig(), &namespace);
            match release.install(VALUES) {
                Ok(notes) => {
                    assert!(admits_closer, "{namespace}: installed although no pod would start");
                    let warned = notes.contains("no pod starts if the namespace");
                    assert_eq!(warned, level.is_none(), "{namespace}: {notes}");
                }
                Err(error) => {
                    let error = format!("{error:#}");
                    assert!(!admits_closer, "{namespace}: {error}");
                    let sentence = format!(
                        "the namespace {namespace} does not admit it (pod-security.kubernetes.io/enforce={}",
                        level.unwrap()
                    );
                    assert!(error.contains(&sentence), "{error}");
                    let unchecked =
                        VALUES.replace("enabled: true, networks", "enabled: true, checkNamespace: false, networks");
                    release.install(&unchecked).unwrap();
                }
            }
        }
    }
}

/// Returns the arguments of the closer.
fn flags(rendered: &Rendered) -> Vec<String> {
    let closer = rendered.container("closer").unwrap();
    let flags: &Value = &closer["args"];
    flags.as_array().unwrap().iter().map(|flag| flag.as_str().unwrap().to_owned()).collect()
}
