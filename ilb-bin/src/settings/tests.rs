//! The settings that are accepted, the values that they become, and the problems that are reported.

use std::{fs, path::Path, time::Duration};

use ilb_reconciler::Method;
use rstest::rstest;
use tempfile::TempDir;
use tracing_subscriber::filter::LevelFilter;

use super::{setting::DefaultValue, *};
use crate::process::logging::LogFormat;

fn inputs(variables: &[(&str, &str)]) -> Inputs {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Inputs { variables: variables.iter().map(own).collect(), ..Inputs::default() }
}

fn settings(variables: &[(&str, &str)]) -> Result<Settings, String> {
    Settings::load(&inputs(variables)).map_err(|problems| problems.to_string())
}

/// A folder with a file of settings, and inputs that name it.
fn with_file(name: &str, text: &str) -> (TempDir, Inputs) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    fs::write(&file, text).unwrap();
    (folder, Inputs { file: Some(file), ..Inputs::default() })
}

/// The problems of a file called `ilb.yaml`, with the folder left out.
fn problems(text: &str) -> Vec<String> {
    let (folder, inputs) = with_file("ilb.yaml", text);
    let problems = Settings::load(&inputs).unwrap_err();
    let prefix = format!("{}/", folder.path().display());
    problems.iter().map(|problem| problem.replace(&prefix, "")).collect()
}

#[test]
fn a_selector_is_all_that_is_needed() {
    let settings = settings(&[("POD_LABELS", "app=myapp,tier=backend"), ("PATH", "/bin")]).unwrap();
    let [pool] = settings.pools.as_slice() else { panic!("one pool") };
    assert_eq!(pool.backends, Backends::Pods("app=myapp,tier=backend".parse().unwrap()));
    assert_eq!((pool.name.as_str(), pool.entry_point.as_str()), ("default", "tcp"));
    assert_eq!((pool.port.to_string().as_str(), pool.update_interval), ("3333", Duration::from_secs(1)));
    assert_eq!((pool.method, pool.watch, &pool.namespaces), (Method::LeastConnections, true, &Namespaces::Own));
    assert_eq!(settings.traefik.instances, Instances::Urls(vec!["http://localhost:8080/api/providers/rest".into()]));
    assert_eq!(settings.log, LogOptions { level: LevelFilter::INFO, format: LogFormat::Json });
    assert_eq!(pool.timeouts.termination_delay, Duration::from_secs(3600));
}

/// Code that reads a setting could still bring a default of its own.
#[test]
fn the_documented_defaults_are_those_that_take_effect() {
    let with = |variables: &[(&str, &str)]| {
        let selector = ("ILB_SELECTOR", "app=a");
        let settings = settings(&[&[selector], variables].concat()).unwrap();
        Settings { effective: Vec::new(), ..settings }
    };
    let literal = KEYS.iter().filter_map(|key| match key.default {
        DefaultValue::Text(text) => Some((key, text)),
        _ => None,
    });
    assert!(literal.clone().count() > 15);
    for (key, default) in literal {
        assert_eq!(with(&[(key.variables[0], default)]), with(&[]), "{}", key.path);
    }
}

/// The library documents them too, for those who embed it.
#[test]
fn the_default_timeouts_are_those_of_the_library() {
    let settings = settings(&[("ILB_SELECTOR", "app=a")]).unwrap();
    assert_eq!(settings.pools[0].timeouts, ilb_traefik_client::Timeouts::default());
}

#[test]
fn the_log_is_text_on_a_terminal_unless_it_is_set() {
    let format = |variables: &[(&str, &str)], terminal| {
        let inputs = Inputs { terminal, ..inputs(&[&[("ILB_SELECTOR", "app=a")], variables].concat()) };
        Settings::load(&inputs).unwrap().log.format
    };
    assert_eq!((format(&[], true), format(&[], false)), (LogFormat::Text, LogFormat::Json));
    assert_eq!(format(&[("LOG_FORMAT", "json")], true), LogFormat::Json);
    assert_eq!(format(&[("LOG_FORMAT", "text")], false), LogFormat::Text);
}

/// A definition that no code reads would be accepted and do nothing.
#[test]
fn every_setting_has_an_effect() {
    let load =
        |variables: &[(&str, &str)]| settings(variables).map(|settings| Settings { effective: Vec::new(), ..settings });
    let base = [("POD_LABELS", "app=a"), ("ILB_METHOD", "leastconn")];
    let before = load(&base).unwrap();
    for key in KEYS {
        let base = base.into_iter().filter(|(name, _)| !key.variables.contains(name));
        // Whether it is a valid value or not: a setting that is read takes it or reports it.
        let given: Vec<_> = base.chain([(key.variables[0], "x")]).collect();
        assert_ne!(load(&given), Ok(before.clone()), "{}", key.path);
    }
}

#[test]
fn every_variable_of_the_predecessor_is_read() {
    let settings = settings(&[
        ("POD_LABELS", "app=a"),
        ("TRAEFIK_API_URL", "http://127.0.0.1:1"),
        ("POD_NAMESPACE", "apps"),
        ("UPDATE_INTERVAL", "1m30s"),
        ("BACKEND_PORT", "5432"),
        ("LB_METHOD", "roundrobin"),
        ("USE_WATCH", "0"),
        ("LOG_LEVEL", "debug"),
        ("LOG_FORMAT", "text"),
    ])
    .unwrap();
    let pool = &settings.pools[0];
    assert_eq!(pool.namespaces, Namespaces::These(vec!["apps".into()]));
    assert_eq!((pool.port.to_string().as_str(), pool.update_interval), ("5432", Duration::from_secs(90)));
    assert_eq!((pool.method, pool.watch), (Method::RoundRobin, false));
    assert_eq!(settings.traefik.instances, Instances::Urls(vec!["http://127.0.0.1:1".into()]));
    assert_eq!(settings.log, LogOptions { level: LevelFilter::DEBUG, format: LogFormat::Text });
}

#[rstest]
#[case("POD_LABELS", "app in", "at character 7: expected '(', found the end")]
#[case("UPDATE_INTERVAL", "5", "500ms")]
#[case("UPDATE_INTERVAL", "soon", "500ms")]
#[case("UPDATE_INTERVAL", "-1s", "500ms")]
#[case("UPDATE_INTERVAL", "0s", "500ms")]
#[case("UPDATE_INTERVAL", "1s-2s", "500ms")]
#[case("UPDATE_INTERVAL", "1m-30s", "500ms")]
#[case("UPDATE_INTERVAL", "99999999999999999999s", "at most 24h")]
#[case("UPDATE_INTERVAL", "24h1ns", "at most 24h")]
#[case("LB_METHOD", "random", "leastconn or roundrobin")]
#[case("TRAEFIK_API_URL", "localhost:8080", "http://localhost:8080/api/providers/rest")]
#[case("BACKEND_PORT", "70000", "1 to 65535")]
#[case("BACKEND_PORT", "0", "1 to 65535")]
#[case("USE_WATCH", "maybe", "true or false")]
#[case("LOG_LEVEL", "loud", "debug, info, warn or error")]
#[case("LOG_FORMAT", "xml", "json or text")]
#[case("ILB_ENTRY_POINT", "a b", "entry point")]
#[case("ILB_TERMINATION_DELAY", "x", "500ms")]
#[case("ILB_ADMIN_ADDRESS", "8081", ":8081")]
#[case("ILB_ADMIN_HOSTS", "http://ilb.example.com", "ilb.example.com")]
#[case("ILB_TERMINATION_DELAY", "8761h", "at most 8760h")]
#[case("ILB_SLOW_START", "99999999999999999999h", "at most 8760h")]
#[case("BACKEND_PORT", "tcp://backend:80", "1 to 65535")]
#[case("BACKEND_PORT", "http://10.0.0.1:80", "1 to 65535")]
#[case("ILB_ADDRESS_FAMILIES", "ipv4", "prefer-ipv4")]
#[case("ILB_ALLOWED_NETWORKS", "ten", "10.0.0.0/8")]
#[case("ILB_CAPACITY", "2", "annotation or equal")]
#[case("ILB_PROXY_PROTOCOL", "3", "1 or 2")]
fn a_wrong_value_is_named_with_the_accepted_form(#[case] name: &str, #[case] value: &str, #[case] form: &str) {
    let error = settings(&[("ILB_SELECTOR", "app=a"), (name, value)]);
    // The selector is the one setting that cannot be given beside the other name for it.
    let error = if name == "POD_LABELS" { settings(&[(name, value)]) } else { error }.unwrap_err();
    assert!(error.contains(name) && error.contains(value) && error.contains(form), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[test]
fn the_way_out_of_a_wrong_url_is_reported_once() {
    let error = settings(&[("POD_LABELS", "app=a"), ("TRAEFIK_API_URL", "localhost:8080")]).unwrap_err();
    assert_eq!(error.matches("give an http URL").count(), 1, "{error}");
}

#[rstest]
#[case(&[])]
#[case(&[("POD_LABELS", "")])]
fn a_missing_selector_is_named_with_the_accepted_form(#[case] variables: &[(&str, &str)]) {
    let error = settings(variables).unwrap_err();
    assert!(error.contains("POD_LABELS") && error.contains("app=my-app"), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[test]
fn all_problems_are_reported_at_once() {
    let error = settings(&[("LB_METHOD", "x"), ("LOG_LEVEL", "y"), ("ILB_ENTRYPOINT", "tcp")]).unwrap_err();
    assert_eq!(error.lines().count(), 4, "{error}");
    assert!(error.contains("ILB_ENTRYPOINT is not a setting"), "{error}");
}

#[test]
fn variables_that_services_cause_are_no_mistake() {
    let links = [
        ("POD_LABELS", "a=b"),
        ("ILB_SERVICE_HOST", "10.0.0.1"),
        ("ILB_PORT", "tcp://10.0.0.1:3333"),
        ("ILB_PORT_3333_TCP_ADDR", "10.0.0.1"),
        ("ILB_METRICS_PORT", "tcp://10.0.0.1:8081"),
        ("ILB_METRICS_SERVICE_PORT_HTTP", "8081"),
    ];
    assert!(settings(&links).unwrap().ignored.is_empty());
}

#[test]
fn a_service_with_the_name_of_a_setting_sets_nothing() {
    let selector = ("POD_LABELS", "a=b");
    let alone = settings(&[selector]).unwrap();
    for name in ["BACKEND_PORT", "ILB_BACKEND_PORT"] {
        for address in ["tcp://10.0.0.1:80", "udp://[fd00::1]:53", "sctp://10.0.0.1:9"] {
            let beside = settings(&[selector, (name, address)]).unwrap();
            let [ignored] = beside.ignored.as_slice() else { panic!("one is ignored: {:?}", beside.ignored) };
            assert!(ignored.starts_with(&format!("{name}={address} is the address of a Service")), "{ignored}");
            assert_eq!(Settings { ignored: Vec::new(), ..beside }, alone);
        }
    }
    let given = settings(&[selector, ("BACKEND_PORT", "tcp://10.0.0.1:80"), ("ILB_BACKEND_PORT", "5432")]).unwrap();
    assert_eq!(given.pools[0].port.to_string(), "5432", "both are no contradiction");
    let (_folder, file) = with_file("ilb.yaml", TWO_POOLS);
    let variables = vec![("BACKEND_PORT".to_owned(), "tcp://10.0.0.1:80".to_owned())];
    Settings::load(&Inputs { variables, ..file }).unwrap();
}

#[test]
fn a_setting_has_one_name_at_a_time() {
    let error = settings(&[("POD_LABELS", "a=b"), ("ILB_SELECTOR", "a=c")]).unwrap_err();
    assert_eq!(error, "ilb: ILB_SELECTOR and POD_LABELS are the same setting: remove one of them\n");
}

const TWO_POOLS: &str = "\
log:
  level: warn
traefik:
  urls: [http://one:8080, http://two:8080]
pools:
  - name: db
    selector: app=db
    backendPort: 5432
    entryPoint: db
    namespaces: [a, b]
  - name: broker
    service: rabbit
    backendPort: amqp
    entryPoint: amqp
    slowStart: 30s
";

#[test]
fn a_file_has_several_pools() {
    let (_folder, inputs) = with_file("ilb.yaml", TWO_POOLS);
    let settings = Settings::load(&inputs).unwrap();
    let [db, broker] = settings.pools.as_slice() else { panic!("two pools") };
    assert_eq!(db.namespaces, Namespaces::These(vec!["a".into(), "b".into()]));
    assert_eq!((broker.backends.to_string(), broker.port.to_string()), ("service rabbit".into(), "amqp".into()));
    assert_eq!((broker.slow_start, db.slow_start), (Duration::from_secs(30), Duration::ZERO));
    assert_eq!(settings.log.level, LevelFilter::WARN);
}

#[test]
fn toml_is_equivalent_to_yaml() {
    let toml = "\
[log]
level = \"warn\"

[traefik]
urls = [\"http://one:8080\", \"http://two:8080\"]

[[pools]]
name = \"db\"
selector = \"app=db\"
backendPort = 5432
entryPoint = \"db\"
namespaces = [\"a\", \"b\"]

[[pools]]
name = \"broker\"
service = \"rabbit\"
backendPort = \"amqp\"
entryPoint = \"amqp\"
slowStart = \"30s\"
";
    let (_folder, inputs) = with_file("ilb.toml", toml);
    let (_other, yaml) = with_file("ilb.yaml", TWO_POOLS);
    let (toml, yaml) = (Settings::load(&inputs).unwrap(), Settings::load(&yaml).unwrap());
    assert_eq!((toml.pools, toml.traefik, toml.log), (yaml.pools, yaml.traefik, yaml.log));
    let (_folder, inputs) = with_file("wrong.toml", "[[pools]]\nselector = \"a=b\"\nbackendPort = 0\ncolour = 1\n");
    let error = Settings::load(&inputs).unwrap_err().to_string();
    assert!(error.contains("wrong.toml:3: pools[0].backendPort=\"0\" cannot be used"), "{error}");
    assert!(error.contains("wrong.toml:4: pools[0].colour is not a setting"), "{error}");
}

#[test]
fn flags_win_over_variables_and_variables_over_the_file() {
    let text = "log:\n  level: warn\n  format: text\npools:\n  - selector: app=file\n    backendPort: 1\n";
    let (folder, mut inputs) = with_file("ilb.yaml", text);
    inputs.variables = vec![("LOG_FORMAT".into(), "json".into()), ("BACKEND_PORT".into(), "2".into())];
    inputs.flags = vec![("backend-port".into(), "3".into())];
    let settings = Settings::load(&inputs).unwrap();
    assert_eq!(settings.log, LogOptions { level: LevelFilter::WARN, format: LogFormat::Json });
    assert_eq!(settings.pools[0].port.to_string(), "3");
    let source = |path: &str| {
        let found = settings.effective.iter().find(|setting| setting.path == path).unwrap();
        found.source.to_string().replace(&format!("{}/", folder.path().display()), "")
    };
    assert_eq!(source("log.level"), "ilb.yaml:2");
    assert_eq!(source("log.format"), "LOG_FORMAT");
    assert_eq!(source("pools[0].backendPort"), "--backend-port");
    assert_eq!(source("pools[0].selector"), "ilb.yaml:5");
    assert_eq!(source("pools[0].method"), "default");
}

#[test]
fn the_file_can_be_named_by_a_variable() {
    let (_folder, inputs) = with_file("ilb.yaml", "pools: [{file: /backends.yaml}]");
    let file = inputs.file.unwrap().display().to_string();
    let settings = settings(&[("ILB_CONFIG", &file)]).unwrap();
    assert_eq!(settings.pools[0].backends, Backends::File("/backends.yaml".into()));
}

#[rstest]
#[case(
    "pools:\n  - selector: a=b\n    backendport: 1\n",
    "ilb.yaml:3: pools[0].backendport is not a setting: did you mean backendPort? give one of"
)]
#[case(
    "pool: []\n",
    "ilb.yaml:1: pool is not a setting: did you mean pools? give one of log, admin, backendLinks, traefik, closer, siblings, expectSiblings, instance, kubernetesEvents, connectionLog, pools"
)]
#[case("log: debug\npools: [{selector: a}]\n", "ilb.yaml:1: log is a table: give one of level, format")]
#[case("pools: app=a\n", "ilb.yaml:1: pools is a list: give at least one pool")]
#[case("pools:\n  - selector: [a, b]\n", "ilb.yaml:2: pools[0].selector is a single value: give a label selector")]
#[case("pools:\n  - selector: a\n    namespaces: {a: b}\n", "ilb.yaml:3: pools[0].namespaces is a list: give")]
#[case("pools:\n  - selector: a\n    watch: perhaps\n", "ilb.yaml:3: pools[0].watch=\"perhaps\" cannot be used")]
#[case("pools:\n  - selector: a\n    selector: b\n", "ilb.yaml:3: duplicate mapping key: selector")]
#[case("pools: [\n", "ilb.yaml:")]
fn a_mistake_in_the_file_is_named_with_its_line(#[case] text: &str, #[case] problem: &str) {
    let problems = problems(text);
    assert!(problems.iter().any(|p| p.starts_with(problem)), "{problems:?}");
}

#[rstest]
#[case("pools:\n  - {selector: a, service: b}\n", "exclude each other: keep one of selector, service and file")]
#[case("pools:\n  - {selector: a, namespaces: [b], allNamespaces: true}\n", "exclude each other: keep one of them")]
#[case("pools:\n  - {service: a, namespaces: [b, c]}\n", "has 2 namespaces: a Service is in one")]
#[case("pools:\n  - {service: a, allNamespaces: true}\n", "does not fit a Service")]
#[case("pools:\n  - {selector: a}\n  - {selector: b, name: b, entryPoint: b}\n", "pools[0].name is not set")]
#[case("pools:\n  - {selector: a, name: a}\n  - {selector: b, name: b}\n", "pools[0] has the entryPoint tcp already")]
#[case(
    "pools:\n  - {selector: a, name: a}\n  - {selector: b, name: a, entryPoint: b}\n",
    "pools[0] has the name a already"
)]
#[case("traefik: {urls: [http://a], dns: http://b}\npools: [{selector: a}]\n", "exclude each other")]
#[case("traefik: {urls: [http://a], quorum: all}\npools: [{selector: a}]\n", "has no effect with one Traefik")]
#[case("traefik: {dns: http://a, quorum: 0}\npools: [{selector: a}]\n", "all, or a number of Traefiks such as 1")]
#[case("traefik: {basicAuth: {username: me}}\npools: [{selector: a}]\n", "needs traefik.basicAuth.passwordFile")]
#[case("traefik: {urls: [\"https://a\"]}\npools: [{selector: a}]\n", "ilb.yaml:1: traefik.urls is https and needs")]
#[case("pools: [{selector: a, method: roundrobin, slowStart: 30s}]\n", "pools[0].slowStart has no effect with")]
#[case("pools: [{selector: a, method: roundrobin, zones: prefer}]\n", "pools[0].zones has no effect with")]
#[case("pools: [{selector: a, zoneMaxExcess: 30%}]\n", "pools[0].zoneMaxExcess has no effect with zones: off")]
#[case("pools: [{selector: a, zones: own}]\n", "give off or prefer")]
#[case(
    "pools: [{selector: a, zones: prefer, closing: {rebalance: {enabled: true}}}]\n",
    "rebalance.stopAt must be at least"
)]
#[case("pools: [{selector: a}]\ninstance: {zoneOfNode: true}\n", "needs the name of the node")]
#[case("pools: [{file: /a, namespaces: [b]}]\n", "ilb.yaml:1: pools[0].namespaces has no effect with a file")]
#[case("pools: [{file: /a, backendPort: 1}]\n", "ilb.yaml:1: pools[0].backendPort has no effect with a file")]
fn what_does_not_go_together_is_named_with_the_way_out(#[case] text: &str, #[case] problem: &str) {
    let problems = problems(text);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains(problem), "{problems:?}");
}

#[rstest]
#[case("pools: [\n")]
#[case("[]\n")]
#[case("pools: app=a\n")]
#[case("pools: [app=a]\n")]
#[case("pools:\n  - selector: [a, b]\n")]
fn what_could_not_be_read_is_not_reported_as_missing_too(#[case] text: &str) {
    let problems = problems(text);
    assert!(problems.len() == 1 && problems[0].starts_with("ilb.yaml:"), "{problems:?}");
}

#[test]
fn pools_with_the_same_name_are_reported_beside_their_other_mistakes() {
    let problems = problems("pools:\n  - {name: a, selector: a in}\n  - {name: a, selector: b}\n");
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(problems[1].starts_with("ilb.yaml:3: pools[1].name: pools[0] has the name a already"), "{problems:?}");
    assert!(problems[2].starts_with("pools[1].entryPoint: pools[0] has the entryPoint tcp already"), "{problems:?}");
}

#[test]
fn where_the_process_runs_is_no_mistake_beside_a_file_of_backends() {
    settings(&[("ILB_BACKENDS_FILE", "/backends.yaml"), ("POD_NAMESPACE", "apps")]).unwrap();
    let error = settings(&[("ILB_BACKENDS_FILE", "/backends.yaml"), ("USE_WATCH", "false")]).unwrap_err();
    assert!(error.contains("USE_WATCH has no effect with a file of backends"), "{error}");
}

#[test]
fn a_token_excludes_a_password_even_without_a_user() {
    let files = [("ILB_TRAEFIK_PASSWORD_FILE", "/p"), ("ILB_TRAEFIK_BEARER_TOKEN_FILE", "/t")];
    let error = settings(&[("POD_LABELS", "a=b"), files[0], files[1]]).unwrap_err();
    assert!(error.contains("ILB_TRAEFIK_PASSWORD_FILE and ILB_TRAEFIK_BEARER_TOKEN_FILE exclude"), "{error}");
}

#[test]
fn a_variable_of_a_pool_does_not_fit_several_pools() {
    let (_folder, mut inputs) = with_file("ilb.yaml", TWO_POOLS);
    inputs.variables = vec![("BACKEND_PORT".into(), "1".into()), ("LOG_LEVEL".into(), "info".into())];
    let error = Settings::load(&inputs).unwrap_err().to_string();
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(error.contains("BACKEND_PORT describes the only pool, and the file has 2"), "{error}");
}

#[test]
fn a_file_that_is_not_there_or_has_no_known_form_is_an_error() {
    for (file, problem) in
        [("/no/such.yaml", "it cannot be read"), ("/no/such.conf", "ends in .yaml, .yml, .json or .toml")]
    {
        let inputs = Inputs { file: Some(Path::new(file).to_owned()), ..inputs(&[("POD_LABELS", "a=b")]) };
        let error = Settings::load(&inputs).unwrap_err().to_string();
        assert!(error.starts_with(&format!("ilb: {file}")) && error.contains(problem), "{error}");
    }
}

#[test]
fn secrets_are_shown_nowhere() {
    let error = settings(&[("POD_LABELS", "a=b"), ("TRAEFIK_API_URL", "http://me:hidden@traefik:8080")]).unwrap_err();
    assert!(error.contains("TRAEFIK_API_URL") && !error.contains("hidden"), "{error}");
}

#[test]
fn effective_settings_are_shown_with_their_origin() {
    let settings = settings(&[("POD_LABELS", "app=a")]).unwrap();
    let shown = settings.table();
    let line =
        |path: &str| shown.lines().find(|line| line.starts_with(path)).unwrap().split_whitespace().collect::<Vec<_>>();
    assert_eq!(line("pools[0].selector"), ["pools[0].selector", "app=a", "POD_LABELS"]);
    assert_eq!(line("log.level"), ["log.level", "info", "default"]);
    let paths = settings.effective.iter().map(|setting| setting.path.replace("[0]", "[]"));
    assert_eq!(paths.collect::<Vec<_>>(), KEYS.iter().map(|key| key.path).collect::<Vec<_>>());
    assert_eq!(shown.lines().count(), KEYS.len());
    let json = serde_json::to_value(&settings.effective).unwrap();
    assert_eq!(
        json[0],
        serde_json::json!({"path": "log.level", "value": "info", "effective": "info", "source": "default"})
    );
}

#[test]
fn a_program_gets_values_and_a_person_gets_words() {
    let settings = settings(&[("POD_LABELS", "app=a"), ("ILB_NAMESPACES", "a,b")]).unwrap();
    let json = serde_json::to_value(&settings.effective).unwrap();
    let of = |path: &str| json.as_array().unwrap().iter().find(|one| one["path"] == path).unwrap();
    assert_eq!(of("log.format")["effective"], "json");
    assert_eq!(of("log.format")["value"], "json, on a terminal text");
    assert!(of("closer.socket")["effective"].is_null());
    assert_eq!(of("pools[0].namespaces")["effective"], serde_json::json!(["a", "b"]));
    assert_eq!(of("traefik.urls")["effective"][0], "http://localhost:8080/api/providers/rest");
}
