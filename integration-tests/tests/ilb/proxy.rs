//! The proxy that the environment names is used as kubectl uses it, or named where it cannot be used.

use std::fs;

use ilb_testbed::{Ilb, ROUND_ROBIN, World};
use serde_json::json;

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn an_api_server_on_loopback_is_reached_without_the_proxy() {
    // Nothing listens at this proxy.
    let world = World::with(1, &[ROUND_ROBIN, ("HTTPS_PROXY", "http://127.0.0.1:9")]).await.unwrap();
    world.wait_until_in_force(1).await.unwrap();
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_proxy_that_cannot_be_used_is_named_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    let content = json!({
        "clusters": [{"name": "a", "cluster": {"server": "https://api.example:6443"}}],
        "users": [{"name": "a", "user": {"token": "a"}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "current-context": "a",
    });
    fs::write(&kubeconfig, content.to_string()).unwrap();
    let kubeconfig = kubeconfig.display().to_string();
    for (proxy, parts) in [
        ("https://user:secret@proxy.example:3128", &["https://proxy.example", "HTTPS_PROXY", "NO_PROXY"][..]),
        ("http://user:secret@a b", &["HTTPS_PROXY is not the URL of a proxy"]),
    ] {
        let variables = [("POD_LABELS", "app=my-app"), ("KUBECONFIG", kubeconfig.as_str()), ("HTTPS_PROXY", proxy)];
        let exit = Ilb::run_to_end(&variables).await.unwrap();
        assert_eq!(exit.code, Some(2), "{exit:?}");
        assert!(parts.iter().all(|part| exit.output.contains(part)), "{exit:?}");
        assert!(!exit.output.contains("secret"), "{exit:?}");
    }
}
