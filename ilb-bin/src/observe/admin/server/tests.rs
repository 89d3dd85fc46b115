//! The limits of the admin server, over a socket.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// Sends `request` to a server and returns the response, up to the end of the connection.
async fn answer(request: &[u8]) -> String {
    let admin = Admin::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = admin.listener.local_addr().unwrap();
    let server = tokio::spawn(admin.serve(Insight::new(), DroppedLines::default()));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    // The connection may be reset if the rest of the request was not read.
    let _ = stream.read_to_end(&mut answer).await;
    server.abort();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_request_that_never_ends_times_out() {
    tokio::time::pause();
    let started = tokio::time::Instant::now();
    assert!(!answer(b"GET /livez HTTP/1.1\r\nHost: a\r\nX-Slow: ").await.starts_with("HTTP/1.1 2"));
    assert!(started.elapsed() < 2 * REQUEST_TIMEOUT, "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_request_that_is_too_large_is_refused() {
    let request = format!("GET /livez HTTP/1.1\r\nHost: a\r\nX-Long: {}\r\n\r\n", "a".repeat(2 * MAX_REQUEST_BYTES));
    assert!(answer(request.as_bytes()).await.starts_with("HTTP/1.1 431 "));
}

#[tokio::test]
async fn an_address_in_use_is_an_error_that_names_the_setting() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let error = Admin::bind(taken.local_addr().unwrap()).await.err().unwrap();
    assert!(error.to_string().contains("ILB_ADMIN_ADDRESS"), "{error}");
}
