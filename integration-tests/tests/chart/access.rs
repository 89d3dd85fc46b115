//! Rights in the cluster are as few as possible, and only ilb has the token for them.

use ilb_testbed::Chart;
use serde_json::{Value, json};

#[test]
#[ignore = "needs the testbed: make test"]
fn ilb_may_list_and_watch_the_pods_of_its_namespace_and_nothing_else() {
    let rendered = Chart::new().unwrap().render("env: {relay: app=my-app}").unwrap();
    let role = rendered.only("Role").unwrap();
    assert_eq!(role["rules"], json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]}]));
    assert_eq!(role["metadata"]["namespace"], "apps");
    assert!(rendered.all("ClusterRole").is_empty());
    let subjects = json!([{"kind": "ServiceAccount", "name": "my-lb-ilb", "namespace": "apps"}]);
    assert_eq!(rendered.only("RoleBinding").unwrap()["subjects"], subjects);
}

#[test]
#[ignore = "needs the testbed: make test"]
fn each_namespace_of_a_pool_has_a_role_for_what_is_read_there() {
    let values = "pools:
      - {name: a, port: 4001, selector: app=a, namespaces: [one, two]}
      - {name: b, port: 4002, service: b, namespaces: [two]}
      - {name: c, port: 4003, selector: app=c, namespaces: [one]}
      - {name: d, port: 4004, file: /backends.yaml}";
    let rendered = Chart::new().unwrap().render(values).unwrap();
    let rights = |role: &&Value| {
        let resources = role["rules"].as_array().unwrap().iter().flat_map(|rule| rule["resources"].as_array().unwrap());
        let resources: Vec<_> = resources.map(|resource| resource.as_str().unwrap().to_owned()).collect();
        (role["metadata"]["namespace"].as_str().unwrap().to_owned(), resources.join(","))
    };
    let rights: Vec<_> = rendered.all("Role").iter().map(rights).collect();
    assert_eq!(rights, [("one".to_owned(), "pods".to_owned()), ("two".to_owned(), "endpointslices,pods".to_owned())]);
    assert_eq!(rendered.all("RoleBinding").len(), 2);
}

#[test]
#[ignore = "needs the testbed: make test"]
fn only_a_pool_of_all_namespaces_has_a_cluster_role() {
    let rendered = Chart::new().unwrap().render("pools: [{selector: app=a, allNamespaces: true}]").unwrap();
    let role = rendered.only("ClusterRole").unwrap();
    assert_eq!(role["rules"], json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]}]));
    assert_eq!(role["metadata"]["name"], "my-lb-ilb-apps", "two releases of one name never meet");
    assert!(role["metadata"].get("namespace").is_none());
    assert_eq!(rendered.only("ClusterRoleBinding").unwrap()["roleRef"]["name"], role["metadata"]["name"]);
    assert!(rendered.all("Role").is_empty());
}

#[test]
#[ignore = "needs the testbed: make test"]
fn the_token_is_short_lived_and_traefik_does_not_have_it() {
    let chart = Chart::new().unwrap();
    for (name, values) in chart.features().unwrap() {
        let rendered = chart.render(&values).unwrap();
        let spec = &rendered.pod().unwrap()["spec"];
        assert_eq!(spec["automountServiceAccountToken"], false, "{name}");
        let volumes = spec["volumes"].as_array().unwrap();
        let token = volumes.iter().find(|volume| volume["name"] == "token").unwrap();
        let token = &token["projected"]["sources"][0]["serviceAccountToken"];
        assert_eq!(token["expirationSeconds"], 3600, "{name}");
        let mounts = |container: &str| rendered.container(container).unwrap()["volumeMounts"].to_string();
        assert!(mounts("ilb").contains("/var/run/secrets/kubernetes.io/serviceaccount"), "{name}");
        assert!(!mounts("traefik").contains(r#""token""#), "{name}");
    }
}

#[test]
#[ignore = "needs the testbed: make test"]
fn an_existing_account_is_used_and_none_is_created() {
    let values = "{env: {relay: app=my-app}, serviceAccount: {create: false, name: theirs}}";
    let rendered = Chart::new().unwrap().render(values).unwrap();
    assert!(rendered.all("ServiceAccount").is_empty());
    assert_eq!(rendered.pod().unwrap()["spec"]["serviceAccountName"], "theirs");
    assert_eq!(rendered.only("RoleBinding").unwrap()["subjects"][0]["name"], "theirs");
}
