//! Asking real servers on loopback, of which some are no siblings.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::future::join_all;
use ilb_reconciler::siblings::Report;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::{MAX_ANSWER_BYTES, MAX_WAIT, OwnReports, PATH};

const OWN: ReplicaId = ReplicaId::new(0);

/// A server whose connections are handled by `serve`.
struct Server {
    address: SocketAddr,
    /// Number of connections that were accepted.
    connections: Arc<AtomicUsize>,
}

impl Server {
    async fn start<F: Future<Output = ()> + Send + 'static>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let accepted = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                accepted.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(serve(stream));
            }
        });
        Self { address, connections }
    }

    /// Starts a sibling that has counted again at each request, and closes connections after so many of them.
    async fn sibling(replica: u128, per_connection: usize) -> Self {
        let sample = Arc::new(AtomicUsize::new(0));
        Self::start(move |mut stream| {
            let sample = Arc::clone(&sample);
            async move {
                for _ in 0..per_connection {
                    if !received_request(&mut stream).await {
                        return;
                    }
                    let sample = sample.fetch_add(1, Ordering::Relaxed) as u64 + 1;
                    let body = answer(ReplicaId::new(replica), sample);
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
                    stream.write_all((head + &body).as_bytes()).await.unwrap();
                }
            }
        })
        .await
    }

    /// Starts a server that answers each connection with this text, and leaves it open.
    async fn saying(text: &'static str) -> Self {
        Self::start(move |mut stream| async move {
            if received_request(&mut stream).await {
                let _ = stream.write_all(text.as_bytes()).await;
                std::future::pending::<()>().await;
            }
        })
        .await
    }
}

async fn received_request(stream: &mut TcpStream) -> bool {
    requested(stream).await.is_some()
}

/// Returns what the next request asks for; `None` at the end of the connection.
async fn requested(stream: &mut TcpStream) -> Option<String> {
    let (mut request, mut buffer) = (Vec::new(), [0; 1024]);
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut buffer).await {
            Ok(read) if read > 0 => request.extend_from_slice(&buffer[..read]),
            _ => return None,
        }
    }
    let request = String::from_utf8(request).unwrap();
    let path = request.strip_prefix("GET ").and_then(|rest| rest.split_once(" HTTP/1.1\r\n")).unwrap().0;
    assert!(path.starts_with(PATH), "{path}");
    Some(path.to_owned())
}

fn answer(replica: ReplicaId, sample: u64) -> String {
    let now = std::time::Instant::now();
    let mut reports = OwnReports::new(replica, now);
    let connections = [(([10, 0, 0, 1], 1).into(), 7)];
    reports.set("default", Some(Report::new(replica, sample, Duration::ZERO, 0, connections)), now);
    let tail = reports.tail(&Question::for_everything()).unwrap();
    // Each sample of the pool is one of the answer.
    reports
        .answer(&tail, Duration::ZERO, now)
        .replace("\"sample\":1,\"age_ms\"", &format!("\"sample\":{sample},\"age_ms\""))
}

/// Asks these addresses until `is_enough`, and returns the events.
async fn ask(addresses: &[SocketAddr], mut is_enough: impl FnMut(&SiblingEvent) -> bool) -> Vec<SiblingEvent> {
    let list: BTreeSet<_> = addresses.iter().copied().collect();
    let mut events = Box::pin(poll(OWN, stream::iter([list]).chain(stream::pending())));
    let mut seen = Vec::new();
    loop {
        let event = events.next().await.unwrap();
        seen.push(event);
        if is_enough(&seen[seen.len() - 1]) {
            return seen;
        }
    }
}

/// Returns the problem of the first question to an address.
async fn problem_of(address: SocketAddr) -> Problem {
    let mut events = ask(&[address], |event| matches!(event, SiblingEvent::Failed { .. })).await;
    match events.pop() {
        Some(SiblingEvent::Failed { problem, .. }) => problem,
        other => panic!("{other:?}"),
    }
}

fn reports(wanted: usize) -> impl FnMut(&SiblingEvent) -> bool {
    let mut seen = 0;
    move |event| {
        seen += usize::from(matches!(event, SiblingEvent::Reported { .. }));
        seen == wanted
    }
}

#[tokio::test]
async fn a_sibling_is_asked_again_and_again_on_one_connection() {
    let sibling = Server::sibling(7, usize::MAX).await;
    let events = ask(&[sibling.address], reports(4)).await;
    assert_eq!(events[0], SiblingEvent::Heard { address: sibling.address, replica: ReplicaId::new(7) });
    assert!(matches!(&events[1], SiblingEvent::Reported { pools, .. } if pools["default"].connections.len() == 1));
    assert_eq!(sibling.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_connection_that_the_sibling_has_closed_is_no_failure() {
    let sibling = Server::sibling(7, 1).await;
    let events = ask(&[sibling.address], reports(3)).await;
    assert!(!events.iter().any(|event| matches!(event, SiblingEvent::Failed { .. })), "{events:?}");
    assert!(sibling.connections.load(Ordering::Relaxed) >= 3);
}

#[tokio::test]
async fn whatever_answers_that_is_no_sibling_is_a_problem_of_its_own() {
    let refusing = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let older = Server::saying("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await;
    let page = Server::saying("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>").await;
    let later = Server::saying("HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n{\"v\":2}").await;
    let no_http = Server::saying("-ERR unknown command\r\n").await;
    let silent = Server::saying("").await;
    let slow = Server::saying("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"v\":1,").await;
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sent);
    let endless = Server::start(move |mut stream| {
        let sent = Arc::clone(&counter);
        async move {
            if received_request(&mut stream).await {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 104857600\r\n\r\n").await;
                while sent.load(Ordering::Relaxed) < 100 << 20 && stream.write_all(&vec![b' '; 65536]).await.is_ok() {
                    sent.fetch_add(65536, Ordering::Relaxed);
                }
            }
        }
    })
    .await;
    let addresses = [
        refusing,
        older.address,
        page.address,
        later.address,
        no_http.address,
        silent.address,
        slow.address,
        endless.address,
    ];
    let kinds: Vec<_> = join_all(addresses.map(problem_of)).await.iter().map(Problem::kind).collect();
    assert_eq!(
        kinds,
        ["unreachable", "status", "unintelligible", "version", "unintelligible", "slow", "slow", "too_long"]
    );
    // What is on the way when the connection is closed is in the buffers of the kernel.
    assert!(sent.load(Ordering::Relaxed) < 3 * MAX_ANSWER_BYTES, "{sent:?} bytes were sent");
}

#[tokio::test]
async fn none_of_them_delays_the_others() {
    let silent = Server::saying("").await;
    let sibling = Server::sibling(7, usize::MAX).await;
    let events = ask(&[silent.address, sibling.address], reports(3)).await;
    let failures = events.iter().filter(|event| matches!(event, SiblingEvent::Failed { .. })).count();
    assert_eq!(failures, 0, "three reports take less than the timeout of the other: {events:?}");
}

#[tokio::test]
async fn lists_may_change_and_end() {
    let (a, b) = (Server::sibling(7, usize::MAX).await, Server::sibling(8, usize::MAX).await);
    let lists = [BTreeSet::from([a.address]), BTreeSet::from([b.address])];
    let (sender, lists_sent) = tokio::sync::mpsc::unbounded_channel();
    let lists_sent = stream::unfold(lists_sent, |mut lists| async { Some((lists.recv().await?, lists)) });
    let mut events = Box::pin(poll(OWN, lists_sent));
    let mut told = Vec::new();
    let mut lists = lists.into_iter();
    sender.send(lists.next().unwrap()).unwrap();
    while told.len() < 3 {
        match events.next().await.unwrap() {
            SiblingEvent::Reported { .. } => {
                if let Some(list) = lists.next() {
                    sender.send(list).unwrap();
                }
            }
            SiblingEvent::AllAsked | SiblingEvent::Complete { .. } => {}
            event => told.push(event),
        }
    }
    drop(sender);
    let heard = |server: &Server, id| SiblingEvent::Heard { address: server.address, replica: ReplicaId::new(id) };
    let left = SiblingEvent::Left { address: a.address, replica: Some(ReplicaId::new(7)) };
    assert_eq!(told, [heard(&a, 7), left, heard(&b, 8)]);
    loop {
        if matches!(events.next().await.unwrap(), SiblingEvent::Reported { .. }) {
            break;
        }
    }
}

#[tokio::test]
async fn siblings_are_complete_only_while_each_address_answers() {
    let sibling = Server::sibling(7, usize::MAX).await;
    let refusing = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let is_news = |event: &SiblingEvent| matches!(event, SiblingEvent::Complete { .. });
    let complete = |events: &[SiblingEvent]| events.last() == Some(&SiblingEvent::Complete { is_complete: true });
    assert!(complete(&ask(&[sibling.address], is_news).await));
    assert!(complete(&ask(&[], is_news).await), "it is alone");
    let mut reports = reports(4);
    let events = ask(&[sibling.address, refusing], |event| is_news(event) || reports(event)).await;
    assert!(!events.iter().any(is_news), "{events:?}");
    let (lists, receiver) = tokio::sync::mpsc::unbounded_channel();
    let listed = stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)));
    let mut news = pin!(poll(OWN, listed).filter(|event| std::future::ready(is_news(event))));
    for (address, is_complete) in [(sibling.address, true), (refusing, false)] {
        lists.send(BTreeSet::from([address])).unwrap();
        assert_eq!(news.next().await, Some(SiblingEvent::Complete { is_complete }));
    }
}

#[tokio::test]
async fn after_an_answer_only_changes_are_asked_for_and_after_nonsense_everything() {
    let (sender, mut questions) = tokio::sync::mpsc::unbounded_channel();
    let server = Server::start(move |mut stream| {
        let sender = sender.clone();
        async move {
            let changes = |sample| {
                let head = format!(r#"{{"v":1,"replica":"{}","sample":{sample},"age_ms":0,"#, ReplicaId::new(7));
                head + r#""since":1,"pools":{"default":{"born":0,"changes":{"10.0.0.2:1":3}}}}"#
            };
            // The second answer is about changes since one that is not the last.
            for body in [answer(ReplicaId::new(7), 1), changes(2), changes(3), answer(ReplicaId::new(7), 4)] {
                let Some(question) = requested(&mut stream).await else { return };
                let _ = sender.send(question);
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
                stream.write_all((head + &body).as_bytes()).await.unwrap();
            }
            std::future::pending::<()>().await;
        }
    })
    .await;
    let events = ask(&[server.address], reports(3)).await;
    let counted = |event: &SiblingEvent| match event {
        SiblingEvent::Reported { pools, .. } => {
            Some(pools["default"].connections.values().copied().collect::<Vec<_>>())
        }
        _ => None,
    };
    assert_eq!(events.iter().filter_map(counted).collect::<Vec<_>>(), [vec![7], vec![7, 3], vec![7]]);
    let failed = |event: &&SiblingEvent| matches!(event, SiblingEvent::Failed { .. });
    assert_eq!(events.iter().filter(failed).count(), 1, "{events:?}");
    let known = |sample| Question::for_changes(ReplicaId::new(7), sample).to_string();
    for expected in [PATH.to_owned(), known(1), known(2), PATH.to_owned()] {
        assert_eq!(questions.recv().await, Some(expected));
    }
}

#[tokio::test]
async fn an_answer_that_is_held_back_for_longer_than_was_asked_is_a_failure() {
    let server = Server::start(|mut stream| async move {
        if received_request(&mut stream).await {
            let body = answer(ReplicaId::new(7), 1);
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all((head + &body).as_bytes()).await.unwrap();
            std::future::pending::<()>().await;
        }
    })
    .await;
    let started = std::time::Instant::now();
    let failed = |event: &SiblingEvent| matches!(event, SiblingEvent::Failed { .. });
    let events = ask(&[server.address], failed).await;
    let limit = MAX_WAIT + Duration::from_secs(1);
    assert!(started.elapsed() >= limit, "it may wait for as long");
    let slow = SiblingEvent::Failed { address: server.address, problem: Problem::TooSlow(limit) };
    assert_eq!(events.last(), Some(&slow));
}

#[test]
fn identities_differ() {
    assert_ne!(draw_identity(), draw_identity());
}
