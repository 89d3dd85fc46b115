//! Tests that each call ends in bounded time and memory with a fitting error, whatever the peer sends.
//!
//! The peers are small scripted TCP servers; real ones with the same faults are in `integration-tests`.
#![cfg(feature = "client")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests are not marked as tests")]

use std::{
    error::Error as _,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use ilb_traefik_client::{ConfigSink, Configuration, Error, TcpPool, Traefik};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const CALL_TIMEOUT: Duration = Duration::from_millis(300);

/// Returns the head of a successful response with a body of this length.
fn head(length: usize) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n")
}

/// Starts a server that misbehaves the same way on each connection, and returns a client for it.
async fn peer<F>(misbehave: fn(TcpStream) -> F) -> Traefik
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(misbehave(stream));
        }
    });
    Traefik::builder(&format!("http://{address}")).call_within(CALL_TIMEOUT).build().unwrap()
}

async fn read_request(stream: &mut TcpStream) {
    let _ = stream.read(&mut [0; 4096]).await;
}

/// Returns the error of `apply`, within a time that the client limits and not the peer.
async fn error_of(traefik: Traefik) -> Error {
    let outcome = tokio::time::timeout(CALL_TIMEOUT * 20, traefik.apply(&Configuration::default())).await;
    outcome.expect("apply does not return").unwrap_err()
}

/// Returns the text of each error below `error`.
fn source_texts(error: &Error) -> Vec<String> {
    std::iter::successors(error.source(), |&error| error.source()).map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_peer_that_never_answers_is_unreachable_in_time() {
    let traefik = peer(|stream| async move {
        let _open = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let error = error_of(traefik).await;
    assert_eq!(error.to_string(), "Traefik cannot be reached: no answer in time: operation timed out");
    assert!(!source_texts(&error).is_empty());
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_unreachable() {
    let traefik = peer(|mut stream| async move {
        read_request(&mut stream).await;
        let _ = stream.write_all(format!("{}{{\"Version\":", head(500)).as_bytes()).await;
    })
    .await;
    assert_eq!(error_of(traefik).await.kind(), "unreachable");
}

static BYTES_WRITTEN: AtomicUsize = AtomicUsize::new(0);

#[tokio::test]
async fn an_answer_of_100_megabytes_is_not_read_to_its_end() {
    let traefik = peer(|mut stream| async move {
        read_request(&mut stream).await;
        let _ = stream.write_all(head(100 << 20).as_bytes()).await;
        let chunk = vec![b' '; 1 << 16];
        while stream.write_all(&chunk).await.is_ok() {
            BYTES_WRITTEN.fetch_add(chunk.len(), Ordering::Relaxed);
        }
    })
    .await;
    let error = error_of(traefik).await;
    assert!(error.to_string().contains("it is longer than"), "{error}");
    // Two calls, each with the contents of the buffers at both ends of a socket.
    let taken = BYTES_WRITTEN.load(Ordering::Relaxed);
    assert!(taken < 50 << 20, "{taken} bytes were read");
}

#[tokio::test]
async fn a_slow_trickle_of_bytes_does_not_extend_the_time_limit() {
    let traefik = peer(|mut stream| async move {
        read_request(&mut stream).await;
        let _ = stream.write_all(head(1000).as_bytes()).await;
        while stream.write_all(b" ").await.is_ok() {
            tokio::time::sleep(CALL_TIMEOUT / 3).await;
        }
    })
    .await;
    let error = error_of(traefik).await;
    assert!(error.to_string().contains("no answer in time"), "{error}");
}

#[tokio::test]
async fn a_response_that_is_not_http_is_unreachable_and_one_that_is_not_json_unintelligible() {
    let no_http = peer(|mut stream| async move {
        read_request(&mut stream).await;
        let _ = stream.write_all(b"220 mail.example.org ESMTP\r\n").await;
    });
    assert_eq!(error_of(no_http.await).await.kind(), "unreachable");
    let no_json = peer(|mut stream| async move {
        read_request(&mut stream).await;
        let _ = stream.write_all(format!("{}<html>", head(6)).as_bytes()).await;
    });
    let error = error_of(no_json.await).await;
    assert_eq!(error.kind(), "unintelligible");
    assert_eq!(source_texts(&error).len(), 1, "{error:?}");
}

#[tokio::test]
async fn a_refusal_contains_the_first_lines_of_the_reason() {
    let traefik = peer(|mut stream| async move {
        read_request(&mut stream).await;
        let answer =
            format!("HTTP/1.1 401 Unauthorized\r\ncontent-length: 200000\r\n\r\nwho are you{}", " ".repeat(199_989));
        let _ = stream.write_all(answer.as_bytes()).await;
    })
    .await;
    let error = error_of(traefik).await;
    assert!(matches!(&error, Error::Refused { status: 401, text, .. } if text == "who are you"), "{error}");
    assert!(!error.is_retryable());
}

/// Acts as a Traefik that ignores routers and transports and answers 200.
async fn forgetful(mut stream: TcpStream) {
    let mut request = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut request).await {
        let body = if request[..length].starts_with(b"PUT") {
            r#"{"tcp":{"services":{"pool":{}}}}"#
        } else {
            r#"{"Version":"2.11.0","startDate":"2026-01-01T00:00:00Z"}"#
        };
        let _ = stream.write_all(format!("{}{body}", head(body.len())).as_bytes()).await;
    }
}

#[tokio::test]
async fn a_part_missing_from_the_echo_is_named_with_the_version() {
    let mut configuration = Configuration::default();
    TcpPool::new("pool".parse().unwrap(), "tcp".parse().unwrap()).add_to(&mut configuration);
    let error = peer(forgetful).await.apply(&configuration).await.unwrap_err();
    assert!(
        matches!(&error, Error::Dropped { keys, version } if version.as_str() == "2.11.0" && keys.contains(&"tcp.routers".to_owned())),
        "{error}"
    );
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn times_beyond_every_clock_are_survived() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(forgetful(stream));
        }
    });
    let builder = Traefik::builder(&url).call_within(Duration::MAX).connect_within(Duration::MAX);
    let mut configuration = Configuration::default();
    TcpPool::new("pool".parse().unwrap(), "tcp".parse().unwrap()).add_to(&mut configuration);
    let error = builder.throttle(Duration::MAX).build().unwrap().apply(&configuration).await.unwrap_err();
    assert!(matches!(error, Error::Dropped { .. }), "{error}");
}

#[tokio::test]
async fn a_closed_port_is_unreachable_without_the_url_in_the_message() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/secret-path/", listener.local_addr().unwrap());
    drop(listener);
    let error = error_of(Traefik::builder(&url).basic("user", "hunter2").build().unwrap()).await;
    let message = error.to_string();
    assert!(error.kind() == "unreachable" && message.contains("refused"), "{message}");
    let sources = source_texts(&error);
    assert!(sources.iter().any(|text| text.contains("refused")), "{sources:?}");
    for text in sources.into_iter().chain([message, format!("{error:?}")]) {
        assert!(!text.contains("secret-path") && !text.contains("hunter2"), "{text}");
    }
}
