//! Tests of the client against real sockets.

use std::{error::Error as _, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::{Discovery, PodDiscovery};

/// Starts a server that hands each connection to `serve`, and returns a source of pods that asks it.
async fn server<F>(serve: fn(TcpStream) -> F, limits: ClientLimits) -> PodDiscovery
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    pods(address, &limits)
}

fn pods(address: SocketAddr, limits: &ClientLimits) -> PodDiscovery {
    source(&Config::new(format!("http://{address}").parse().unwrap()), limits)
}

fn source(config: &Config, limits: &ClientLimits) -> PodDiscovery {
    let _ = rustls::crypto::ring::default_provider().install_default();
    PodDiscovery::new(api_client(config, limits).unwrap(), "shop", "app=db".parse().unwrap(), 5432)
}

#[tokio::test]
async fn a_server_that_accepts_and_never_answers_times_out() {
    let limits = ClientLimits { silence: Duration::from_millis(50), ..ClientLimits::default() };
    let pods = server(|stream| async move { drop((stream, std::future::pending::<()>().await)) }, limits).await;
    assert!(matches!(pods.list().await.unwrap_err(), Error::Unreachable { .. }));
}

#[tokio::test]
async fn timeouts_beyond_every_clock_are_a_day() {
    async fn refuse(mut stream: TcpStream) {
        let _ = stream.read(&mut [0; 4096]).await;
        let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno").await;
    }
    let limits = ClientLimits { connect: Duration::MAX, silence: Duration::MAX, acknowledge: Duration::MAX };
    let pods = server(refuse, limits).await;
    assert!(matches!(pods.list().await.unwrap_err(), Error::Forbidden { .. }));
}

#[tokio::test]
async fn a_server_that_stops_in_the_middle_of_an_answer_times_out() {
    async fn half(mut stream: TcpStream) {
        let _ = stream.read(&mut [0; 4096]).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"items\": [").await;
        std::future::pending::<()>().await;
    }
    let limits = ClientLimits { silence: Duration::from_millis(50), ..ClientLimits::default() };
    let pods = server(half, limits).await;
    assert!(matches!(pods.list().await.unwrap_err(), Error::Unreachable { .. }));
}

#[tokio::test]
async fn a_refused_connection_is_reported_at_once_with_the_systems_message() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = pods(free, &ClientLimits::default()).list().await.unwrap_err();
    assert!(error.source().unwrap().is::<kube::Error>(), "{error:?}");
    let text = error.with_causes().to_string();
    assert_eq!(text.matches("Connection refused").count(), 1, "{text}");
}

#[tokio::test]
async fn a_proxy_is_not_silently_bypassed() {
    let mut config = Config::new("http://127.0.0.1:1".parse().unwrap());
    config.proxy_url = Some("http://127.0.0.1:2".parse().unwrap());
    let error = api_client(&config, &ClientLimits::default()).err().unwrap().with_causes().to_string();
    assert!(error.contains("cannot use the proxy http://127.0.0.1"), "{error}");
}

/// Refuses one request, and returns the values of its header `name`.
async fn refuse(listener: &TcpListener, name: &str) -> Vec<String> {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        stream.read_buf(&mut request).await.unwrap();
    }
    let refusal = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    stream.write_all(refusal).await.unwrap();
    let request = String::from_utf8(request).unwrap();
    let headers = request.lines().filter_map(|line| line.split_once(": "));
    headers.filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).collect()
}

#[tokio::test]
async fn each_request_carries_the_token_that_is_in_the_file_at_that_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, "first").unwrap();
    let mut config = Config::new(format!("http://{}", listener.local_addr().unwrap()).parse().unwrap());
    config.auth_info.token_file = Some(file.path().display().to_string());
    let pods = source(&config, &ClientLimits::default());
    for token in ["first", "second"] {
        std::fs::write(&file, token).unwrap();
        let (sent, answer) = tokio::join!(refuse(&listener, "authorization"), pods.list());
        assert!(matches!(answer.unwrap_err(), Error::Unauthorized { .. }));
        assert_eq!(sent, [format!("Bearer {token}")]);
    }
}

#[tokio::test]
async fn each_request_says_who_asks() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = Config::new(format!("http://{}", listener.local_addr().unwrap()).parse().unwrap());
    let asks = async |config: &Config| {
        let pods = source(config, &ClientLimits::default());
        let (agents, answer) = tokio::join!(refuse(&listener, "user-agent"), pods.list());
        answer.unwrap_err();
        agents
    };
    assert_eq!(asks(&config).await, [concat!("ilb-discovery/", env!("CARGO_PKG_VERSION"))]);
    config.headers.push((USER_AGENT, HeaderValue::from_static("shop/7")));
    assert_eq!(asks(&config).await, ["shop/7"]);
}

#[test]
fn a_client_waits_longer_than_a_watch_lives() {
    let silence = |seconds| ClientLimits::default().with_watch_lifetime(Duration::from_secs(seconds)).silence;
    assert_eq!((silence(1), silence(60)), (Duration::from_secs(15), Duration::from_secs(65)));
}
