//! Tests of several namespaces in one source.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_namespace_without_a_name_is_refused_without_a_request() {
    let (client, mut server) = ScriptedServer::new();
    let pods = PodDiscovery::new(client, "", "app=db".parse().unwrap(), 5432);
    assert!(matches!(pods.list().await.unwrap_err(), Error::UnnamedNamespace));
    let mut sets = pods.watch();
    assert!(error(&mut sets).await.contains("has no name"));
    assert!(server.next().now_or_never().is_none());
}

#[rstest]
#[case::refused_first(true)]
#[case::refused_last(false)]
#[tokio::test(start_paused = true)]
async fn a_namespace_without_rights_takes_only_its_own_backends_away(#[case] refused_first: bool) {
    let (client, mut server) = ScriptedServer::new();
    let pods = PodDiscovery::new(client, "shop", "app=db".parse().unwrap(), 5432)
        .with_options(KubeOptions::default().with_namespaces(["bank", "shop"]));
    let mut sets = pods.watch();
    let (bank, shop) = (server.next().await, server.next().await);
    assert_eq!(bank.path(), "/api/v1/namespaces/bank/pods");
    let mut watch = if refused_first {
        bank.refuse(403, "Forbidden", "not you").await;
        assert!(error(&mut sets).await.contains("pods in namespace bank: forbidden"));
        shop.list(5, &[pod(1, 1)]).await;
        server.next().await.watch()
    } else {
        shop.list(5, &[pod(1, 1)]).await;
        let watch = server.next().await.watch();
        nothing(&mut sets);
        bank.refuse(403, "Forbidden", "not you").await;
        watch
    };
    assert_eq!(set(&mut sets).await, [1]);
    assert!(error(&mut sets).await.contains("pods in namespace bank: forbidden"));
    assert!(pods.since_contact().is_some());

    watch.send("ADDED", &pod(2, 6)).await;
    assert_eq!(set(&mut sets).await, [1, 2]);
    assert!(error(&mut sets).await.contains("pods in namespace bank: forbidden"));
    server.next().await.list(7, &[pod(3, 3)]).await;
    assert_eq!(set(&mut sets).await, [1, 2, 3], "the right has been granted");
    nothing(&mut sets);
}

#[tokio::test(start_paused = true)]
async fn namespaces_without_any_rights_are_no_empty_set() {
    let (client, mut server) = ScriptedServer::new();
    let pods = PodDiscovery::new(client, "shop", "app=db".parse().unwrap(), 5432)
        .with_options(KubeOptions::default().with_namespaces(["bank", "shop"]));
    let mut sets = pods.watch();
    for _ in 0..6 {
        server.next().await.refuse(403, "Forbidden", "not you").await;
        error(&mut sets).await;
    }
    nothing(&mut sets);
}

#[tokio::test(start_paused = true)]
async fn a_list_of_several_namespaces_has_what_may_be_read_and_the_refusal() {
    let (client, mut server) = ScriptedServer::new();
    let pods = PodDiscovery::new(client, "shop", "app=db".parse().unwrap(), 5432)
        .with_options(KubeOptions::default().with_namespaces(["bank", "shop"]));
    let (listed, ()) = tokio::join!(pods.list(), async {
        let (bank, shop) = (server.next().await, server.next().await);
        bank.refuse(403, "Forbidden", "not you").await;
        shop.list(5, &[pod(1, 1)]).await;
    });
    let error = listed.unwrap_err();
    let Error::Partial { set, cause } = &error else { panic!("{error:?}") };
    assert_eq!(set.count(State::Ready), 1);
    assert!(cause.to_string().contains("pods in namespace bank: forbidden"), "{cause}");

    for codes in [[403, 403], [403, 500], [500, 403]] {
        let (listed, ()) = tokio::join!(pods.list(), async {
            for code in codes {
                server.next().await.refuse(code, "Scripted", "no").await;
            }
        });
        let error = listed.unwrap_err();
        assert!(matches!(error, Error::Forbidden { .. }) == (codes == [403, 403]), "{error:?}");
        assert!(matches!(error, Error::Failed { .. }) == (codes != [403, 403]), "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn several_namespaces_make_one_set_that_is_complete_or_not_there() {
    let (client, mut server) = ScriptedServer::new();
    let pods = PodDiscovery::new(client, "shop", "app=db".parse().unwrap(), 5432)
        .with_options(KubeOptions::default().with_namespaces(["shop", "bank", "shop"]));
    let mut sets = pods.watch();
    let (bank, shop) = (server.next().await, server.next().await);
    assert_eq!(bank.path(), "/api/v1/namespaces/bank/pods");
    assert_eq!(shop.path(), "/api/v1/namespaces/shop/pods");
    shop.list(5, &[pod(1, 1)]).await;
    let mut shop = server.next().await.watch();
    nothing(&mut sets);
    assert_eq!(pods.since_contact(), None);
    bank.list(6, &[pod(2, 2)]).await;
    assert_eq!(set(&mut sets).await, [1, 2]);

    server.next().await.refuse(403, "Forbidden", "not you").await;
    assert!(error(&mut sets).await.contains("pods in namespace bank: forbidden"));
    shop.send("DELETED", &pod(1, 8)).await;
    assert_eq!(set(&mut sets).await, [2], "a change in another namespace");
    error(&mut sets).await; // and the staleness that remains
    server.next().await.list(8, &[]).await;
    let _bank = server.next().await.watch();
    assert_eq!(set(&mut sets).await, [2], "the end of staleness");
}

#[tokio::test(start_paused = true)]
async fn all_namespaces_are_one_collection() {
    let (client, mut server) = ScriptedServer::new();
    let pods = PodDiscovery::new(client, "shop", "app=db".parse().unwrap(), 5432)
        .with_options(KubeOptions::default().with_all_namespaces());
    let _sets = pods.watch();
    assert_eq!(server.next().await.path(), "/api/v1/pods");
}
