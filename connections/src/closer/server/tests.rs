//! Promises of the server and its client, with a closer that closes nothing.

use std::{sync::Mutex, time::Duration};

use rstest::rstest;
use tokio::{sync::Notify, task::JoinHandle};

use super::*;
use crate::closer::{Ability, Conditions, How, Limits, MockCloser, NotNow, Order, Remote};

/// A server that follows orders of this user, and ends with this value.
struct Served {
    folder: tempfile::TempDir,
    server: JoinHandle<io::Error>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn own_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn serve(closer: MockCloser, client_user: u32) -> Served {
    let folder = tempfile::tempdir().unwrap();
    let server = CloserServer::bind(&folder.path().join("socket"), client_user).unwrap();
    Served { server: tokio::spawn(server.run(Arc::new(closer))), folder }
}

impl Served {
    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("socket")
    }

    fn remote(&self) -> Remote {
        Remote::new(self.path())
    }

    /// Sends a packet as it is, and returns the reply with whether the connection goes on.
    async fn raw(&self, packet: &[u8]) -> (String, bool) {
        let packets = Packets::connect(&self.path()).unwrap();
        packets.send(packet).await.unwrap();
        let reply = packets.receive().await.unwrap().unwrap();
        let goes_on = packets.send(br#"{"hello":1}"#).await.is_ok() && matches!(packets.receive().await, Ok(Some(_)));
        (String::from_utf8(reply).unwrap(), goes_on)
    }
}

fn order(cookie: u64) -> Order {
    let (backend, local) = ("10.0.0.1:80".parse().unwrap(), "10.0.0.2:1".parse().unwrap());
    Order { backend, local, cookie, how: How::Finish, only_if: Conditions::NONE }
}

fn limits() -> Limits {
    Limits::new(["10.0.0.0/8".parse().unwrap()], [80], [3333]).unwrap()
}

fn able(outcome: Outcome) -> MockCloser {
    let mut closer = MockCloser::new();
    closer.expect_ability().returning(|| Ability::Able(limits()));
    closer.expect_close().returning(move |_| outcome.clone());
    closer
}

#[rstest]
#[case(Outcome::Closed)]
#[case(Outcome::NotNow(NotNow::NotQuiet))]
#[case(Outcome::Refused(Refusal::TooFast))]
#[case(Outcome::Failed("because".to_owned()))]
#[tokio::test]
async fn the_outcome_of_the_closer_is_the_outcome_of_the_remote(#[case] outcome: Outcome) {
    let served = serve(able(outcome.clone()), own_user());
    let remote = served.remote();
    assert_eq!(remote.ability().await, Ability::Able(limits()));
    for cookie in 1..4 {
        assert_eq!(remote.close(&order(cookie)).await, outcome);
    }
}

#[tokio::test]
async fn the_order_is_what_the_closer_gets() {
    let (mut closer, orders) = (MockCloser::new(), Arc::new(Mutex::new(Vec::new())));
    let seen = Arc::clone(&orders);
    closer.expect_close().returning(move |order| {
        seen.lock().unwrap().push(*order);
        Outcome::Closed
    });
    let served = serve(closer, own_user());
    served.remote().close(&order(7)).await;
    assert_eq!(*orders.lock().unwrap(), [order(7)]);
}

#[tokio::test]
async fn what_cannot_close_says_so() {
    let mut closer = MockCloser::new();
    closer.expect_ability().returning(|| Ability::Unable("no capability".to_owned()));
    let served = serve(closer, own_user());
    assert_eq!(served.remote().ability().await, Ability::Unable("no capability".to_owned()));
}

#[tokio::test]
async fn one_client_at_a_time_closes_connections() {
    let served = serve(able(Outcome::Closed), own_user());
    let (first, second) = (served.remote(), served.remote());
    assert_eq!(first.close(&order(1)).await, Outcome::Closed);
    assert_eq!(second.close(&order(2)).await, Outcome::Refused(Refusal::SecondClient));
    assert_eq!(second.ability().await, Ability::Able(limits()), "it may ask");
    drop(first);
    tokio::time::timeout(Duration::from_secs(30), async { while second.close(&order(2)).await != Outcome::Closed {} })
        .await
        .expect("the end of the first client makes room");
}

#[tokio::test]
async fn the_servers_own_user_may_only_ask() {
    let served = serve(able(Outcome::Closed), own_user() + 1);
    assert_eq!(served.remote().ability().await, Ability::Able(limits()));
    let Outcome::Failed(why) = served.remote().close(&order(1)).await else { panic!("not refused") };
    assert!(why.contains("this user may not close connections"), "{why}");
}

#[rstest]
#[case::no_json(b"hello".to_vec())]
#[case::other_version(br#"{"hello":2}"#.to_vec())]
#[case::unknown_request(br#"{"list":{}}"#.to_vec())]
#[case::unknown_field(br#"{"close":{"id":1,"force":true}}"#.to_vec())]
#[case::too_large([br#"{"hello":1}"#.to_vec(), vec![b' '; 4096]].concat())]
#[tokio::test]
async fn an_error_is_answered_and_ends_the_connection(#[case] packet: Vec<u8>) {
    let served = serve(able(Outcome::Closed), own_user());
    let (reply, goes_on) = served.raw(&packet).await;
    assert!(reply.starts_with(r#"{"error":"#) && !goes_on, "{reply}");
    assert_eq!(served.remote().close(&order(1)).await, Outcome::Closed, "others are served");
}

#[tokio::test]
async fn a_request_is_answered_and_the_connection_goes_on() {
    let served = serve(able(Outcome::Closed), own_user());
    let (reply, goes_on) = served.raw(br#"{"hello":1}"#).await;
    assert_eq!(
        reply,
        r#"{"hello":1,"method":"destroy","can":true,"limits":{"networks":["10.0.0.0/8"],"ports":[80],"entryPorts":[3333],"maxRate":20,"maxPerHour":10000}}"#
    );
    assert!(goes_on);
}

#[tokio::test]
async fn a_closer_that_is_missing_fails_and_is_found_when_it_comes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let remote = Remote::new(&path);
    assert!(matches!(remote.close(&order(1)).await, Outcome::Failed(why) if why.contains("cannot be reached")));
    assert!(matches!(remote.ability().await, Ability::Unreachable(_)));
    for _ in 0..2 {
        // The second time, the socket of the first server is still there.
        let server = CloserServer::bind(&path, own_user()).unwrap();
        let serving = tokio::spawn(server.run(Arc::new(able(Outcome::Closed))));
        let first = remote.close(&order(1)).await;
        assert!(matches!(first, Outcome::Closed | Outcome::Failed(_)), "the end of the last one is noticed now");
        assert_eq!(remote.close(&order(1)).await, Outcome::Closed);
        serving.abort();
        let _ = serving.await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_order_without_a_reply_fails_and_its_late_reply_is_taken_for_no_other() {
    let replies = Arc::new(Notify::new());
    let server = {
        let folder = tempfile::tempdir().unwrap();
        let server = CloserServer::bind(&folder.path().join("socket"), own_user()).unwrap();
        let closer = Late { replies: Arc::clone(&replies) };
        Served { server: tokio::spawn(server.run(Arc::new(closer))), folder }
    };
    let remote = server.remote();
    assert!(matches!(remote.close(&order(1)).await, Outcome::Failed(why) if why.contains("did not reply")));
    replies.notify_one();
    tokio::task::yield_now().await;
    assert!(matches!(remote.close(&order(2)).await, Outcome::Failed(_) | Outcome::Refused(Refusal::SecondClient)));
}

/// A closer that replies when it is told.
struct Late {
    replies: Arc<Notify>,
}

#[async_trait::async_trait]
impl Closer for Late {
    async fn close(&self, _: &Order) -> Outcome {
        self.replies.notified().await;
        Outcome::Closed
    }

    async fn ability(&self) -> Ability {
        Ability::Able(limits())
    }
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    fs::write(&path, "precious").unwrap();
    assert!(CloserServer::bind(&path, 1).is_err());
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[tokio::test]
async fn every_user_may_connect() {
    let served = serve(able(Outcome::Closed), own_user());
    assert_eq!(fs::metadata(served.path()).unwrap().permissions().mode() & 0o777, 0o666);
}
