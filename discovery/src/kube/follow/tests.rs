//! Tests of the watch machine, through the source of pods and against a scripted API server.

mod namespaces;
mod objects;
mod pauses;

use std::{io::ErrorKind, sync::Arc, time::Duration};

use futures_core::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};
use rstest::rstest;
use serde_json::json;
use tokio::time::Instant;

use crate::{
    BackendSet, Discovery, Error, KubeOptions, PodDiscovery, State,
    kube::testing::{ScriptedServer, not_ready, pod, refusal},
};

type Sets = BoxStream<'static, Result<Arc<BackendSet>, Error>>;

fn pods() -> (PodDiscovery, ScriptedServer) {
    let (client, server) = ScriptedServer::new();
    (PodDiscovery::new(client, "shop", "app=db".parse().unwrap(), 5432), server)
}

/// Waits for the next set, and returns the last numbers of its addresses.
async fn set(sets: &mut Sets) -> Vec<u8> {
    let set = sets.next().await.unwrap().unwrap();
    set.ready().iter().map(|b| b.address().ip().to_string().rsplit('.').next().unwrap().parse().unwrap()).collect()
}

async fn error(sets: &mut Sets) -> String {
    sets.next().await.unwrap().unwrap_err().with_causes().to_string()
}

fn nothing(sets: &mut Sets) {
    let next = sets.next().now_or_never();
    assert!(next.is_none(), "{next:?}");
}

#[tokio::test(start_paused = true)]
async fn requests_ask_for_the_newest_state_in_pages_and_for_bookmarks() {
    let (client, mut server) = ScriptedServer::new();
    let pods = PodDiscovery::new(client, "shop", "app=db".parse().unwrap(), 5432)
        .with_field_selector("spec.nodeName=a".parse().unwrap());
    let mut sets = pods.watch();
    let list = server.next().await;
    assert_eq!(list.path(), "/api/v1/namespaces/shop/pods");
    let selectors = (Some("app%3Ddb"), Some("spec.nodeName%3Da"));
    assert_eq!((list.parameter("labelSelector"), list.parameter("fieldSelector")), selectors);
    assert_eq!((list.parameter("limit"), list.parameter("resourceVersion")), (Some("200"), None));
    list.list(7, &[]).await;
    let watch = server.next().await;
    assert_eq!((watch.parameter("labelSelector"), watch.parameter("fieldSelector")), selectors);
    assert_eq!((watch.parameter("resourceVersion"), watch.parameter("timeoutSeconds")), (Some("7"), Some("10")));
    assert_eq!(watch.parameter("allowWatchBookmarks"), Some("true"));
    assert_eq!(watch.header("accept-encoding"), Some("identity"), "events that are compressed one by one");
    assert!(set(&mut sets).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_first_set_comes_after_the_last_page() {
    let (pods, mut server) = pods();
    let mut sets = pods.watch();
    server.next().await.page(5, "more", &[pod(1, 1)]).await;
    let second = server.next().await;
    assert_eq!(second.parameter("continue"), Some("more"));
    nothing(&mut sets);
    second.list(5, &[pod(2, 2)]).await;
    assert_eq!(set(&mut sets).await, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn changes_become_sets_and_an_event_without_a_change_publishes_nothing() {
    let (pods, mut server) = pods();
    let mut sets = pods.watch();
    let mut watch = server.sync(5, &[pod(1, 1)]).await;
    assert_eq!(set(&mut sets).await, [1]);
    watch.send("ADDED", &pod(2, 6)).await;
    assert_eq!(set(&mut sets).await, [1, 2]);
    watch.send("MODIFIED", &not_ready(1, 7)).await;
    assert_eq!(set(&mut sets).await, [2]);
    watch.send("MODIFIED", &not_ready(1, 8)).await;
    watch.bookmark(9).await;
    watch.send("DELETED", &pod(2, 10)).await;
    assert_eq!(set(&mut sets).await, [0; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_in_order_is_resumed_silently() {
    let (pods, mut server) = pods();
    let mut sets = pods.watch();
    let mut watch = server.sync(5, &[pod(1, 1)]).await;
    set(&mut sets).await;
    watch.bookmark(8).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    drop(watch);
    let resumed = server.next().await;
    assert!(resumed.is_watch());
    assert_eq!(resumed.parameter("resourceVersion"), Some("8"));
    let _watch = resumed.watch();
    tokio::time::sleep(Duration::from_secs(1)).await;
    nothing(&mut sets);
    assert_eq!(pods.since_contact(), Some(Duration::from_secs(1)));
    assert_eq!(pods.relists(), Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_breaks_off_in_the_middle_of_a_line_is_resumed_after_the_last_whole_event() {
    let (pods, mut server) = pods();
    let mut sets = pods.watch();
    let mut watch = server.sync(5, &[pod(1, 1)]).await;
    set(&mut sets).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    watch.send("ADDED", &pod(2, 6)).await;
    assert_eq!(set(&mut sets).await, [1, 2]);
    watch.raw(r#"{"type":"DELETED","object":{"metadata":{"uid":"uid-2","resourceV"#).await;
    drop(watch);
    let probe = server.next().await;
    assert_eq!(probe.parameter("limit"), Some("1"));
    probe.list(7, &[]).await;
    let resumed = server.next().await;
    assert_eq!(resumed.parameter("resourceVersion"), Some("6"));
    let mut watch = resumed.watch();
    nothing(&mut sets);
    watch.send("DELETED", &pod(2, 7)).await;
    assert_eq!(set(&mut sets).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_reset_is_resumed_without_a_list() {
    let (pods, mut server) = pods();
    let mut sets = pods.watch();
    let watch = server.sync(5, &[pod(1, 1)]).await;
    set(&mut sets).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    watch.break_off(ErrorKind::ConnectionReset);
    server.next().await.list(5, &[]).await;
    let mut watch = server.next().await.watch();
    watch.send("ADDED", &pod(2, 6)).await;
    assert_eq!(set(&mut sets).await, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_timed_out_in_the_system_is_stale() {
    let (pods, mut server) = pods();
    let mut sets = pods.watch();
    let watch = server.sync(5, &[pod(1, 1)]).await;
    set(&mut sets).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    watch.break_off(ErrorKind::TimedOut);
    assert!(error(&mut sets).await.contains("timed out"));
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_expired_when_the_watch_is_opened_leads_to_a_new_list() {
    let (pods, mut server) = pods();
    let mut sets = pods.watch();
    server.next().await.list(5, &[pod(1, 1)]).await;
    server.next().await.refuse(410, "Expired", "too old resource version: 5 (9)").await;
    assert_eq!(set(&mut sets).await, [1]);
    assert!(error(&mut sets).await.contains("too old resource version"));
    let _watch = server.sync(9, &[pod(2, 8)]).await;
    assert_eq!(set(&mut sets).await, [2]);
}

#[tokio::test(start_paused = true)]
async fn a_version_that_expires_during_a_watch_leads_to_a_new_list() {
    let (pods, mut server) = pods();
    let mut sets = pods.watch();
    let mut watch = server.sync(5, &[pod(1, 1)]).await;
    set(&mut sets).await;
    assert_eq!(pods.relists(), Some(0));
    watch.send("ERROR", &refusal(410, "Expired", "too old resource version: 5 (9)")).await;
    assert!(error(&mut sets).await.contains("too old resource version"));
    let _watch = server.sync(9, &[pod(2, 8)]).await;
    assert_eq!(set(&mut sets).await, [2]);
    assert_eq!(pods.relists(), Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_version_that_the_server_has_not_reached_leads_to_a_new_list() {
    let (pods, mut server) = pods();
    let mut sets = pods.watch();
    server.next().await.list(5, &[pod(1, 1)]).await;
    server.next().await.refuse(504, "Timeout", "Too large resource version: 5, current: 4").await;
    set(&mut sets).await;
    error(&mut sets).await;
    let _watch = server.sync(6, &[pod(2, 6)]).await;
    assert_eq!(set(&mut sets).await, [2]);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_fails_after_some_pages_leaves_no_trace_and_begins_again() {
    let (pods, mut server) = pods();
    let mut sets = pods.watch();
    let mut watch = server.sync(5, &[pod(1, 1), pod(2, 2)]).await;
    assert_eq!(set(&mut sets).await, [1, 2]);
    watch.send("ERROR", &refusal(410, "Expired", "too old")).await;
    error(&mut sets).await;
    server.next().await.page(9, "more", &[pod(3, 8)]).await;
    server.next().await.refuse(500, "InternalError", "etcdserver: leader changed").await;
    assert!(error(&mut sets).await.contains("leader changed"));
    let again = server.next().await;
    assert_eq!(again.parameter("continue"), None);
    again.list(9, &[pod(2, 2)]).await;
    assert_eq!(set(&mut sets).await, [2]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_without_events_times_out_within_15_s() {
    let (pods, mut server) = pods();
    let mut sets = pods.watch();
    let _black_hole = server.sync(5, &[pod(1, 1)]).await;
    set(&mut sets).await;
    let opened = Instant::now();
    assert_eq!(error(&mut sets).await, "the API server has been silent for 13s about pods in namespace shop");
    assert!(opened.elapsed() <= Duration::from_secs(15), "{:?}", opened.elapsed());
    server.next().await.list(5, &[]).await;
    assert_eq!(server.next().await.parameter("resourceVersion"), Some("5"));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_never_answered_times_out() {
    let (pods, mut server) = pods();
    let mut sets = pods.watch();
    let _never = server.next().await;
    assert_eq!(error(&mut sets).await, "the API server has been silent for 30s about pods in namespace shop");
    server.next().await.list(5, &[]).await;
    let _never = server.next().await;
    set(&mut sets).await;
    assert_eq!(error(&mut sets).await, "the API server has been silent for 10s about pods in namespace shop");
}

#[tokio::test(start_paused = true)]
async fn the_end_of_staleness_is_published_though_no_event_arrives() {
    let (pods, mut server) = pods();
    let mut sets = pods.watch();
    let _black_hole = server.sync(5, &[pod(1, 1)]).await;
    set(&mut sets).await;
    error(&mut sets).await;
    server.next().await.list(5, &[]).await;
    let _quiet = server.next().await.watch();
    let opened = Instant::now();
    assert_eq!(set(&mut sets).await, [1]);
    assert!(opened.elapsed() <= Duration::from_secs(1), "{:?}", opened.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_names_what_to_grant_and_is_recovered_from() {
    let (pods, mut server) = pods();
    let mut sets = pods.watch();
    server.next().await.refuse(403, "Forbidden", "pods is forbidden: User \"ilb\" cannot list").await;
    let message = error(&mut sets).await;
    assert!(message.contains("pods in namespace shop: forbidden: grant `list` and `watch`"), "{message}");
    assert!(message.contains("User \"ilb\" cannot list"), "{message}");
    server.next().await.refuse(401, "Unauthorized", "Unauthorized").await;
    assert!(error(&mut sets).await.contains("has its token expired?"));
    let _watch = server.sync(5, &[pod(1, 1)]).await;
    assert_eq!(set(&mut sets).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_goes_back_in_time_is_refused_until_it_stays_there() {
    let (pods, mut server) = pods();
    let mut sets = pods.watch();
    let mut watch = server.sync(50, &[pod(1, 1)]).await;
    set(&mut sets).await;
    watch.send("ERROR", &refusal(410, "Expired", "too old")).await;
    error(&mut sets).await;
    let started = Instant::now();
    loop {
        server.next().await.list(40, &[]).await;
        match sets.next().await.unwrap() {
            Ok(set) => break assert!(set.is_empty()),
            Err(error) => assert!(error.to_string().contains("version 40 after 50"), "{error}"),
        }
    }
    assert!(started.elapsed() >= Duration::from_secs(30), "{:?}", started.elapsed());
    assert_eq!(server.next().await.parameter("resourceVersion"), Some("40"));
}

#[tokio::test(start_paused = true)]
async fn after_a_reset_a_server_that_went_back_in_time_is_not_watched_from_the_future() {
    let (pods, mut server) = pods();
    let mut sets = pods.watch();
    let watch = server.sync(50, &[pod(1, 1)]).await;
    set(&mut sets).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    watch.break_off(ErrorKind::ConnectionReset);
    server.next().await.list(40, &[]).await;
    assert!(error(&mut sets).await.contains("version 40 after 50"));
    let next = server.next().await;
    assert!(!next.is_watch());
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_not_json_leads_to_a_new_list() {
    let (pods, mut server) = pods();
    let mut sets = pods.watch();
    let mut watch = server.sync(5, &[pod(1, 1)]).await;
    set(&mut sets).await;
    watch.raw("<html>Bad gateway</html>\n").await;
    error(&mut sets).await;
    let _watch = server.sync(6, &[pod(2, 6)]).await;
    assert_eq!(set(&mut sets).await, [2]);
}

#[tokio::test(start_paused = true)]
async fn what_one_stream_sees_does_not_disturb_the_lists_of_others() {
    let (pods, mut server) = pods();
    let mut first = pods.watch();
    let mut watch = server.sync(5, &[pod(1, 1)]).await;
    set(&mut first).await;

    let mut second = pods.watch();
    let (listed, ()) = tokio::join!(pods.list(), async {
        let (one, other) = (server.next().await, server.next().await);
        for version in 6..16 {
            watch.send("MODIFIED", &pod(1, version)).await;
        }
        watch.send("ADDED", &pod(2, 16)).await;
        assert_eq!(set(&mut first).await, [1, 2]);
        one.page(6, "more", &[pod(1, 6)]).await;
        other.page(7, "more", &[pod(1, 7)]).await;
        watch.send("MODIFIED", &pod(2, 17)).await;
        watch.send("ADDED", &pod(3, 18)).await;
        assert_eq!(set(&mut first).await, [1, 2, 3]);
        let (one, other) = (server.next().await, server.next().await);
        one.list(6, &[pod(2, 6)]).await;
        other.list(7, &[pod(2, 6)]).await;
    });
    listed.unwrap();
    assert_eq!(set(&mut second).await, [1, 2]);
    let resumed = server.next().await;
    assert!(matches!(resumed.parameter("resourceVersion"), Some("6" | "7")));
}

#[tokio::test(start_paused = true)]
async fn the_version_is_requested_with_the_selectors_that_the_client_may_use() {
    let (client, mut server) = ScriptedServer::new();
    let pods = PodDiscovery::new(client, "shop", "app=db".parse().unwrap(), 5432)
        .with_field_selector("spec.nodeName=a".parse().unwrap());
    let mut sets = pods.watch();
    server.next().await.list(5, &[]).await;
    set(&mut sets).await;
    server.next().await.refuse(500, "InternalError", "not now").await;
    let probe = server.next().await;
    assert_eq!((probe.is_watch(), probe.parameter("limit")), (false, Some("1")));
    let selectors = (probe.parameter("labelSelector"), probe.parameter("fieldSelector"));
    assert_eq!(selectors, (Some("app%3Ddb"), Some("spec.nodeName%3Da")));
}

#[rstest]
#[case::forbidden(403)]
#[case::not_streamed(502)]
#[tokio::test(start_paused = true)]
async fn lists_replace_watches_that_are_always_refused(#[case] code: u16) {
    let (pods, mut server) = pods();
    let mut sets = pods.watch();
    server.next().await.list(5, &[pod(1, 1)]).await;
    assert_eq!(set(&mut sets).await, [1]);
    let started = Instant::now();
    let (mut listed_at, mut lists) = (Vec::new(), 0);
    while lists < 5 {
        let request = server.next().await;
        if request.is_watch() {
            request.refuse(code, "Scripted", "no watch").await;
        } else if request.parameter("limit") == Some("1") {
            assert!(started.elapsed() <= Duration::from_secs(25), "{:?}", started.elapsed());
            request.list(5, &[]).await;
        } else {
            lists += 1;
            listed_at.push(started.elapsed());
            request.list(5 + lists, &[pod(1 + u8::try_from(lists).unwrap(), 6)]).await;
            let of_now = async {
                loop {
                    if let Ok(set) = sets.next().await.unwrap() {
                        break set;
                    }
                }
            };
            let set = of_now.await;
            assert_eq!(set.iter().next().unwrap().address().to_string(), format!("10.0.0.{}:5432", 1 + lists));
            error(&mut sets).await; // it is stale all the same
        }
    }
    assert!(listed_at[0] >= Duration::from_secs(15), "{listed_at:?}");
    assert!(
        listed_at.windows(2).all(|two| two[1].checked_sub(two[0]).unwrap() <= Duration::from_secs(5)),
        "{listed_at:?}"
    );

    // As soon as a watch is allowed, the view is fresh.
    let mut watch = loop {
        let request = server.next().await;
        if request.is_watch() {
            break request.watch();
        }
        request.list(10, &[pod(6, 6)]).await;
    };
    while sets.next().await.unwrap().is_err() {}
    watch.send("ADDED", &pod(7, 11)).await;
    assert_eq!(set(&mut sets).await, [6, 7]);
}

#[tokio::test(start_paused = true)]
async fn the_lifetime_of_a_watch_is_an_option() {
    let (client, mut server) = ScriptedServer::new();
    let options = KubeOptions::default().with_watch_lifetime(Duration::from_secs(60));
    let pods = PodDiscovery::new(client, "shop", "app=db".parse().unwrap(), 5432).with_options(options);
    let mut sets = pods.watch();
    server.next().await.list(5, &[]).await;
    set(&mut sets).await;
    let request = server.next().await;
    assert_eq!(request.parameter("timeoutSeconds"), Some("60"));
    let _black_hole = request.watch();
    let opened = Instant::now();
    assert_eq!(error(&mut sets).await, "the API server has been silent for 63s about pods in namespace shop");
    assert_eq!(opened.elapsed().as_secs(), 63);
}

#[tokio::test(start_paused = true)]
async fn listing_once_reads_every_page_and_returns_every_failure() {
    let (pods, mut server) = pods();
    let (set, ()) = tokio::join!(pods.list(), async {
        server.next().await.page(5, "more", &[pod(1, 1)]).await;
        server.next().await.list(5, &[not_ready(2, 2)]).await;
    });
    let set = set.unwrap();
    assert_eq!((set.count(State::Ready), set.count(State::NotReady)), (1, 1));
    let (set, ()) = tokio::join!(pods.list(), async {
        server.next().await.text(200, None, &json!({"items": []}).to_string()).await;
    });
    assert!(set.unwrap_err().with_causes().to_string().contains("without resourceVersion"));
    let (set, ()) = tokio::join!(pods.list(), async { server.next().await.list(4, &[]).await });
    assert!(set.unwrap_err().with_causes().to_string().contains("version 4 after 5"));
}
