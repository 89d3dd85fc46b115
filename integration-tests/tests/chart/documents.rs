//! Notes, the table of values, the examples and the pod of `helm test`.

use std::{fs, process::Command};

use ilb_testbed::{Chart, tools};
use serde_json::{Value, json};

#[test]
#[ignore = "needs the testbed: make test"]
fn the_table_of_values_in_the_readme_is_made_of_the_comments() {
    let chart = Chart::new().unwrap();
    let copy = tempfile::tempdir().unwrap();
    for file in ["Chart.yaml", "values.yaml", "README.md.gotmpl"] {
        fs::copy(chart.folder().join(file), copy.path().join(file)).unwrap();
    }
    let status = Command::new(tools::path("helm-docs").unwrap())
        .args(["--sort-values-order=file", "--skip-version-footer", "--chart-search-root"])
        .arg(copy.path())
        .status()
        .unwrap();
    assert!(status.success());
    let fresh = fs::read_to_string(copy.path().join("README.md")).unwrap();
    assert!(fresh == chart.file("README.md").unwrap(), "chart/README.md is stale: make docs");
}

#[test]
#[ignore = "needs the testbed: make test"]
fn the_notes_say_what_to_check_and_warn_of_what_is_risky_only() {
    let chart = Chart::new().unwrap();
    let quiet = chart.notes("{env: {relay: a=b}, replicaCount: 2, image: {registry: registry.example}}").unwrap();
    for command in [
        "rollout status deployment/my-lb-ilb",
        "helm -n apps test my-lb",
        "logs deployment/my-lb-ilb -c ilb",
        "Sessions end 5m (drain.timeout) after their pod is replaced",
        "/docs/what-ends-a-connection.md",
    ] {
        assert!(quiet.contains(command), "{quiet}");
    }
    assert!(!quiet.contains("Warnings:"), "{quiet}");
    for (values, warning) in [
        ("{env: {relay: a=b}}", "1 pod: "),
        ("{env: {relay: a=b}}", "the pods stay in ImagePullBackOff"),
        ("{env: {relay: a=b}, nativeSidecar: false}", "nativeSidecar=false"),
        ("{env: {relay: a=b}, service: {type: LoadBalancer}}", "reachable from outside the cluster"),
        ("{pools: [{selector: a=b, allNamespaces: true}]}", "whoever may label a pod anywhere"),
        ("{env: {relay: a=b}, image: {tag: latest}}", "image.tag=latest"),
        ("{env: {relay: a=b}, drain: {timeout: 48h}}", "drain.timeout is above a day"),
        (
            "{env: {relay: a=b, closing: {maxAge: 1h}}}",
            "closing.enabled=false: the rules of default only show what they would close",
        ),
        ("{env: {relay: a=b}, closing: {enabled: true, networks: [10.0.0.0/8]}}", "no pool has rules (closing)"),
        ("{env: {relay: a=b}, closing: {enabled: true, networks: [10.0.0.0/8]}}", "set hostUsers=false"),
        (
            "{env: {relay: a=b}, closing: {enabled: true, networks: [10.0.0.0/8]}}",
            "no pod starts if the namespace apps enforces the Pod Security level baseline or restricted",
        ),
        (
            "{env: {relay: a=b}, autoscaling: {enabled: true, behavior: {scaleDown: {selectPolicy: Max}}}}",
            "autoscaling may remove pods",
        ),
    ] {
        let notes = chart.notes(values).unwrap();
        assert!(notes.contains("Warnings:") && notes.contains(warning), "{values}\n{notes}");
    }
    for values in [
        "{env: {relay: a=b}, global: {imageRegistry: mirror.example}}",
        "{env: {relay: a=b}, image: {repository: theirs/ilb}}",
    ] {
        let notes = chart.notes(values).unwrap();
        assert!(!notes.contains("ImagePullBackOff"), "{values}\n{notes}");
    }
}

#[test]
#[ignore = "needs the testbed: make test"]
fn the_pod_of_helm_test_never_becomes_an_endpoint() {
    let chart = Chart::new().unwrap();
    for (name, values) in chart.features().unwrap() {
        let rendered = chart.render(&values).unwrap();
        let hooks = rendered.hooks();
        if name == "no-service" {
            assert!(hooks.is_empty(), "test.enabled is false");
            continue;
        }
        assert_eq!(hooks.len(), 2, "{name}");
        let pod = hooks.iter().find(|hook| hook["kind"] == "Pod").unwrap();
        let labels = &pod["metadata"]["labels"];
        for service in rendered.objects.iter().filter(|object| object["kind"] == "Service") {
            let selector = service["spec"]["selector"].as_object().unwrap();
            assert!(selector.iter().any(|(key, value)| labels[key] != *value), "{name}");
        }
        let (url, args) = ("$(MY_LB_ILB_TEST_PORT_8081_TCP)", &pod["spec"]["containers"][0]["args"]);
        assert!(name == "names" || *args == json!(["status", "--allow-degraded", "--url", url]), "{args}");
        let policy = &pod["metadata"]["annotations"]["helm.sh/hook-delete-policy"];
        assert_eq!(policy, "before-hook-creation,hook-succeeded", "{name}");
    }
}

/// The README is read in the package, on Artifact Hub and by `helm show readme`, where relative links lead nowhere.
#[test]
#[ignore = "needs the testbed: make test"]
fn links_of_the_readme_are_absolute_and_lead_to_files() {
    let chart = Chart::new().unwrap();
    let home = metadata(&chart)["home"].as_str().unwrap().to_owned();
    for document in ["README.md", "runbooks.md", "Chart.yaml"] {
        let text = chart.file(document).unwrap();
        let targets = text.split("](").skip(1).map(|rest| rest.split_once(')').unwrap().0);
        let of_metadata =
            |line: &'_ str| line.trim().strip_prefix("url: ").or(line.strip_prefix("icon: ")).map(str::to_owned);
        for target in targets.map(str::to_owned).chain(text.lines().filter_map(of_metadata)) {
            assert!(target.starts_with("https://") || target.starts_with('#'), "{document}: {target}");
            let raw = home.replace("//github.com/", "//raw.githubusercontent.com/");
            let path =
                target.strip_prefix(&format!("{home}/blob/main/")).or(target.strip_prefix(&format!("{raw}/main/")));
            if let Some(path) = path {
                let path = path.split('#').next().unwrap();
                assert!(chart.folder().join("..").join(path).is_file(), "{document}: {target}");
            }
        }
    }
}

#[test]
#[ignore = "needs the testbed: make test"]
fn the_description_of_the_chart_is_complete_and_names_the_images_of_the_values() {
    let chart = Chart::new().unwrap();
    let metadata = metadata(&chart);
    for key in ["home", "sources", "maintainers", "keywords", "kubeVersion", "description", "icon"] {
        assert!(!metadata[key].is_null(), "{key}");
    }
    assert!(metadata["maintainers"][0]["name"].is_string());
    let annotation = |name: &str| -> Value {
        let text = metadata["annotations"][format!("artifacthub.io/{name}")].as_str().unwrap();
        serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    let rendered = chart.render("env: {relay: app=my-app}").unwrap();
    for image in annotation("images").as_array().unwrap() {
        assert_eq!(image["image"], rendered.container(image["name"].as_str().unwrap()).unwrap()["image"]);
    }
    assert_eq!(annotation("images").as_array().unwrap().len(), 2);
    for change in annotation("changes").as_array().unwrap() {
        let kinds = ["added", "changed", "deprecated", "removed", "fixed", "security"];
        assert!(kinds.contains(&change["kind"].as_str().unwrap()) && change["description"].is_string(), "{change}");
    }
    assert!(annotation("links").as_array().unwrap().iter().all(|link| link["name"].is_string()));
    assert!(annotation("screenshots").as_array().unwrap().iter().all(|picture| picture["title"].is_string()));
}

#[test]
#[ignore = "needs the testbed: make test"]
fn every_block_of_values_in_the_documents_renders_and_lints() {
    let chart = Chart::new().unwrap();
    let mut blocks = 0;
    for entry in fs::read_dir(chart.folder().join("../docs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let mut lines = text.lines();
        while let Some(line) = lines.by_ref().find(|line| line.trim_start() == "```yaml values") {
            let indent = line.len() - line.trim_start().len();
            let block = lines.by_ref().take_while(|line| line.trim_start() != "```");
            let block: Vec<_> = block.map(|line| line.get(indent..).unwrap_or("")).collect();
            let mut values = block.join("\n");
            // Some are to be put on top of others.
            if !values.contains("relay:") && !values.contains("pools:") {
                values.push_str("\nenv: {relay: app=my-app}\n");
            }
            chart.render(&values).unwrap_or_else(|error| panic!("{}: {error:#}", path.display()));
            chart.lint(&values).unwrap_or_else(|error| panic!("{}: {error:#}", path.display()));
            blocks += 1;
        }
    }
    assert!(blocks > 10, "there are {blocks} blocks of values");
}

#[test]
#[ignore = "needs the testbed: make test"]
fn examples_and_runbooks_are_in_the_package() {
    for chart in [Chart::new().unwrap(), Chart::new().unwrap().with_helm_3().unwrap()] {
        let files = chart.package().unwrap();
        let wanted = ["LICENSE", "README.md", "runbooks.md", "values.schema.json", "examples/openshift-values.yaml"];
        for file in wanted {
            assert!(files.contains(&format!("ilb/{file}")), "{file} of {files:?}");
        }
        assert!(!files.iter().any(|file| file.starts_with("ilb/ci/") || file.ends_with(".gotmpl")), "{files:?}");
    }
}

#[test]
#[ignore = "needs the testbed: make test"]
fn the_example_for_openshift_names_no_user_and_keeps_all_other_restrictions() {
    let chart = Chart::new().unwrap();
    let example = chart.file("examples/openshift-values.yaml").unwrap();
    let rendered = chart.render(&format!("{example}\nenv: {{relay: app=my-app}}\n")).unwrap();
    let hooks = rendered.hooks();
    let test = hooks.iter().find(|hook| hook["kind"] == "Pod").unwrap();
    for spec in [&rendered.pod().unwrap()["spec"], &test["spec"]] {
        // What restricted-v2 asks for: https://docs.openshift.com/container-platform/latest/authentication/managing-security-context-constraints.html
        assert_eq!(
            spec["securityContext"],
            json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}})
        );
        let containers = [&spec["containers"], &spec["initContainers"]];
        for container in containers.iter().filter_map(|list| list.as_array()).flatten() {
            let security = &container["securityContext"];
            assert_eq!(security["allowPrivilegeEscalation"], false);
            assert_eq!(security["capabilities"], json!({"drop": ["ALL"]}));
            assert!(security.get("runAsUser").is_none() && security.get("privileged").is_none());
            assert!(container["ports"].as_array().into_iter().flatten().all(|port| port.get("hostPort").is_none()));
        }
        for volume in spec["volumes"].as_array().into_iter().flatten() {
            let kinds = ["configMap", "downwardAPI", "emptyDir", "persistentVolumeClaim", "projected", "secret"];
            assert!(kinds.iter().any(|kind| volume.get(kind).is_some()), "{volume}");
        }
    }
}

fn metadata(chart: &Chart) -> Value {
    serde_saphyr::from_str(&chart.file("Chart.yaml").unwrap()).unwrap()
}

#[test]
#[ignore = "needs the testbed: make test"]
fn every_example_of_the_project_renders_and_lints() {
    let chart = Chart::new().unwrap();
    let mut names = Vec::new();
    for entry in fs::read_dir(chart.folder().join("examples")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let values = fs::read_to_string(&path).unwrap();
            // Presets have no backends.
            let values = if ["ha-values.yaml", "keda-values.yaml", "openshift-values.yaml"]
                .iter()
                .any(|preset| path.ends_with(preset))
            {
                format!("{values}\nenv: {{relay: app=my-app}}\n")
            } else {
                values
            };
            chart.render(&values).unwrap();
            chart.lint(&values).unwrap();
            names.push(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
    names.sort();
    assert_eq!(
        names,
        [
            "broker-closing-values.yaml",
            "database-closing-values.yaml",
            "game-values.yaml",
            "ha-values.yaml",
            "keda-values.yaml",
            "mqtt-values.yaml",
            "nats-values.yaml",
            "openshift-values.yaml",
            "pgbouncer-values.yaml",
            "postgresql-values.yaml",
            "rabbitmq-values.yaml",
            "redis-values.yaml",
            "smtp-values.yaml"
        ]
    );
}
