//! Settings that cannot work end ilb with exit code 2 and one line with the variable, the value and what is accepted.

use ilb_testbed::Ilb;

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn wrong_settings_are_named_in_one_line_with_exit_code_2() {
    for (variable, value, accepted) in [
        ("POD_LABELS", "", "a label selector such as app=my-app"),
        ("POD_LABELS", "app in my-app", "a label selector such as app=my-app"),
        ("UPDATE_INTERVAL", "5", "500ms, 1s or 1m30s"),
        ("LB_METHOD", "fastest", "leastconn or roundrobin"),
        ("TRAEFIK_API_URL", "localhost:8080", "http://localhost:8080/api/providers/rest"),
    ] {
        let exit = Ilb::run_to_end(&[("POD_LABELS", "app=my-app"), (variable, value)]).await.unwrap();
        assert_eq!(exit.code, Some(2), "{exit:?}");
        let parts = [variable, value, accepted];
        assert!(parts.iter().all(|part| exit.output.contains(part)), "{exit:?}");
        assert_eq!(exit.output.lines().count(), 1, "{exit:?}");
    }
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_missing_way_to_a_cluster_is_named_with_exit_code_2() {
    let exit = Ilb::run_to_end(&[("POD_LABELS", "app=my-app"), ("KUBECONFIG", "/nonexistent")]).await.unwrap();
    assert_eq!(exit.code, Some(2), "{exit:?}");
    assert!(exit.output.contains("set KUBECONFIG to a kubeconfig") && exit.output.contains("/nonexistent"), "{exit:?}");
}
