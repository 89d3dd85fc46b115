//! The limits of the admin server, over a socket.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
    task::JoinSet,
};

use super::{super::connection::MAX_REQUEST_BYTES, *};
use crate::settings::ListenAddress;

/// A server that runs in the test's own runtime.
struct Served {
    address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Served {
    fn start() -> Self {
        let address = ListenAddress::One(([127, 0, 0, 1], 0).into());
        let admin = Admin::bind(&AdminSettings { address, hosts: Vec::new() }).unwrap();
        let address = admin.listener.local_addr().unwrap();
        let (front, pages) = admin.parts(&Insight::new(), DroppedLines::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(front);
        tasks.spawn(pages);
        Self { address, _tasks: tasks }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends `request` on a connection of its own and returns the response, up to the end of the connection.
    async fn answer(&self, request: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        // The connection may be reset if the rest of the request was not read.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }

    /// Opens a connection from this loopback address and requests the page on it. Returns the connection and the head of the
    /// response.
    async fn keep_alive(&self, from: u8) -> (TcpStream, String) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, from], 0).into()).unwrap();
        let mut stream = socket.connect(self.address).await.unwrap();
        let head = request(&mut stream).await;
        (stream, head)
    }
}

/// Requests the page, without its content. Returns the head of the response; empty if the connection was closed.
async fn request(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    if stream.write_all(b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.is_ok() {
        while !head.ends_with(b"\r\n\r\n") && stream.read_buf(&mut head).await.is_ok_and(|read| read > 0) {}
    }
    String::from_utf8(head).unwrap()
}

const PROBE: &[u8] = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn a_request_that_never_ends_times_out() {
    let served = Served::start();
    for request in
        ["", "GET /li", "GET /livez HTTP/1.1\r\nHost: a\r\nX-Slow: ", "GET / HTTP/1.1\r\nHost: a\r\nX-Slow: "]
    {
        let started = tokio::time::Instant::now();
        assert!(!served.answer(request.as_bytes()).await.starts_with("HTTP/1.1 2"));
        assert!(started.elapsed() < 2 * REQUEST_TIMEOUT, "{request:?}: {:?}", started.elapsed());
    }
}

#[tokio::test]
async fn a_request_that_is_too_large_is_refused() {
    for path in ["/livez", "/status"] {
        let long = "a".repeat(2 * MAX_REQUEST_BYTES);
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nX-Long: {long}\r\n\r\n");
        assert!(Served::start().answer(request.as_bytes()).await.starts_with("HTTP/1.1 431 "), "{path}");
    }
}

#[tokio::test]
async fn a_request_may_arrive_in_pieces() {
    let served = Served::start();
    for request in [PROBE, b"HEAD / HTTP/1.1\r\nConnection: close\r\nHost: a\r\n\r\n"] {
        let mut stream = served.connect().await;
        stream.set_nodelay(true).unwrap();
        for byte in request {
            stream.write_all(&[*byte]).await.unwrap();
            yield_now().await;
        }
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
}

#[tokio::test]
async fn probes_are_answered_whatever_number_of_connections_is_idle() {
    let served = Served::start();
    let mut idle = Vec::new();
    for number in 0..3 * FRONT_LIMITS.total {
        let mut stream = served.connect().await;
        match number % 3 {
            0 => {}
            1 => stream.write_all(b"GET /livez HTTP/1.1\r\nHost: ").await.unwrap(),
            _ => drop(request(&mut stream).await),
        }
        idle.push(stream);
        let answer = served.answer(PROBE).await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("ok\n"), "{number}: {answer}");
    }
}

/// Opens a connection without letting the server run.
fn connect_at_once(address: SocketAddr) -> std::net::TcpStream {
    std::net::TcpStream::connect(address).unwrap()
}

/// Returns the response, up to the end of the connection.
async fn response(stream: std::net::TcpStream) -> String {
    stream.set_nonblocking(true).unwrap();
    let mut answer = String::new();
    let _ = TcpStream::from_std(stream).unwrap().read_to_string(&mut answer).await;
    answer
}

#[tokio::test]
async fn a_probe_that_has_arrived_is_answered_however_many_connections_of_its_peer_come_after_it() {
    let served = Served::start();
    // All of them are there before the server accepts the first one.
    let mut probe = connect_at_once(served.address);
    std::io::Write::write_all(&mut probe, PROBE).unwrap();
    let others: Vec<_> = (0..FRONT_LIMITS.per_peer + 50).map(|_| connect_at_once(served.address)).collect();
    let answer = response(probe).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    drop(others);
}

#[tokio::test]
async fn a_probe_may_follow_its_connection_when_hundreds_of_its_peer_have_been_opened() {
    let served = Served::start();
    let mut probe = served.connect().await;
    let mut others = Vec::new();
    for _ in 0..200 {
        others.push(served.connect().await);
    }
    // A complete request shows that all of them have been accepted.
    assert!(served.answer(PROBE).await.starts_with("HTTP/1.1 200 "));
    probe.write_all(PROBE).await.unwrap();
    let mut answer = String::new();
    probe.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn a_peer_that_needs_another_place_loses_the_connection_that_has_been_idle_longest() {
    let served = Served::start();
    let mut streams = Vec::new();
    for _ in 0..PAGES_LIMITS.per_peer {
        streams.push(served.keep_alive(1).await.0);
    }
    request(&mut streams[0]).await;
    served.keep_alive(1).await;
    assert_eq!(streams[1].read(&mut [0]).await.unwrap_or(0), 0, "it is closed");
    for kept in [0, 2, PAGES_LIMITS.per_peer - 1] {
        assert!(request(&mut streams[kept]).await.starts_with("HTTP/1.1 200 "), "{kept}");
    }
}

#[tokio::test]
async fn connections_are_kept_alive_until_half_of_the_places_are_taken() {
    let served = Served::start();
    let mut streams = Vec::new();
    for number in 0..PAGES_LIMITS.total {
        let (stream, head) = served.keep_alive(if number % 2 == 0 { 1 } else { 2 }).await;
        let is_closed = head.to_ascii_lowercase().contains("\r\nconnection: close\r\n");
        assert_eq!(is_closed, number >= PAGES_LIMITS.total / 2, "{number}: {head}");
        if !is_closed {
            streams.push(stream);
        }
    }
}

#[tokio::test]
async fn a_probe_ends_its_connection() {
    let answer = Served::start().answer(PROBE).await;
    assert!(answer.to_ascii_lowercase().contains("\r\nconnection: close\r\n"), "{answer}");
}

#[tokio::test]
async fn an_address_in_use_is_an_error_that_names_the_setting() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = ListenAddress::One(taken.local_addr().unwrap());
    let error = Admin::bind(&AdminSettings { address, hosts: Vec::new() }).unwrap_err();
    assert!(error.to_string().contains("ILB_ADMIN_ADDRESS"), "{error}");
}
