//! Restarts of the API server, even without its history, and a stalled etcd never falsify the set.

use std::time::Duration;

use ilb_discovery::{BackendSet, Error, State};
use ilb_testbed::{ApiServer, Followed, Pods, eventually, pod_ip, pods_via};

async fn scene() -> anyhow::Result<(ApiServer, Pods, Followed)> {
    let api_server = ApiServer::start().await?;
    let pods = api_server.namespace("shop").await?;
    let source = pods_via(&api_server, api_server.address(), &pods).await?;
    let mut followed = Followed::new(&source);
    pods.create_ready("one", pod_ip(1)).await?;
    followed.until_ready(1).await?;
    Ok((api_server, pods, followed))
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn an_api_server_that_is_killed_and_restarted_is_followed_again() {
    let (mut api_server, pods, mut followed) = scene().await.unwrap();
    for round in 2..=3 {
        api_server.kill().unwrap();
        let (error, noticed) = followed.until_stale().await.unwrap();
        assert!(matches!(error, Error::Unreachable { .. }), "{error}");
        api_server.restart().await.unwrap();
        pods.create_ready(&format!("pod-{round}"), pod_ip(round)).await.unwrap();
        let seen = followed.until_ready(round.into()).await.unwrap();
        assert!(seen.sets.iter().all(|set| set.len() + 1 >= usize::from(round)), "nothing is lost on the way");
        println!("killed: noticed after {noticed:.1?}, recovered {:.1?} after it answers", seen.after);
    }
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_history_that_was_forgotten_is_replaced_by_a_new_list() {
    let (mut api_server, pods, mut followed) = scene().await.unwrap();
    api_server.kill().unwrap();
    followed.until_stale().await.unwrap();
    api_server.restart().await.unwrap();
    pods.create_ready("two", pod_ip(2)).await.unwrap();
    pods.remove("one").await.unwrap();
    api_server.kill().unwrap();
    api_server.compact().await.unwrap();
    api_server.restart().await.unwrap();
    let seen = followed
        .until("the pods of now", |set| set.len() == 1 && set.iter().all(|b| b.address().ip() == pod_ip(2)))
        .await
        .unwrap();
    let causes: Vec<_> = seen.errors.iter().map(ToString::to_string).collect();
    println!("compacted: recovered {:.1?} after it answers; causes: {causes:?}", seen.after);
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn an_etcd_that_lost_everything_is_believed_only_when_it_insists() {
    let (mut api_server, pods, mut followed) = scene().await.unwrap();
    // Many versions, so that the new history does not reach the old one soon.
    for n in 0..200 {
        pods.patch("one", serde_json::json!({"metadata": {"annotations": {"n": n.to_string()}}})).await.unwrap();
    }
    api_server.lose_all_data().await.unwrap();
    let seen = followed.until("no pods", BackendSet::is_empty).await.unwrap();
    assert!(seen.errors.iter().any(|e| matches!(e, Error::WentBack { .. })), "{:?}", seen.errors);
    println!("all data lost: believed {:.1?} after it answers", seen.after);

    let pods = api_server.namespace("shop").await.unwrap();
    pods.create_ready("one", pod_ip(7)).await.unwrap();
    let seen = followed.until_ready(1).await.unwrap();
    println!("the new history is followed: {:.1?}", seen.after);
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn an_etcd_that_stalls_takes_no_backend_away() {
    let (mut api_server, pods, mut followed) = scene().await.unwrap();
    api_server.freeze_etcd().unwrap();
    let (error, noticed) = match tokio::time::timeout(Duration::from_secs(40), followed.until_stale()).await {
        Ok(stale) => stale.map(|(error, noticed)| (error.with_causes().to_string(), noticed)).unwrap(),
        Err(_) => ("none within 40 s".to_owned(), Duration::ZERO),
    };
    println!("etcd stalled: stale after {noticed:.1?}: {error}");
    api_server.resume_etcd().unwrap();
    eventually("pods can be created again", async || pods.create_ready("two", pod_ip(2)).await).await.unwrap();
    let seen = followed.until_ready(2).await.unwrap();
    assert!(seen.sets.iter().all(|set| set.count(State::Ready) >= 1));
    println!("etcd goes on: recovered in {:.1?}", seen.after);
}
