//! Tests of the way to the API server.

use std::net::SocketAddr;

use rstest::rstest;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::{ClientLimits, Discovery, PodDiscovery, api_client};

#[rstest]
#[case::nothing("", "api.example", 6443, false)]
#[case::all("*", "api.example", 6443, true)]
#[case::the_host("api.example", "api.example", 6443, true)]
#[case::capitals("API.Example", "api.example", 6443, true)]
#[case::above("example", "api.example", 6443, true)]
#[case::no_border("ample", "api.example", 6443, false)]
#[case::other("other.example", "api.example", 6443, false)]
#[case::only_below(".example", "api.example", 6443, true)]
#[case::not_itself(".api.example", "api.example", 6443, false)]
#[case::star(" *.example ", "api.example", 6443, true)]
#[case::star_not_itself("*.api.example", "api.example", 6443, false)]
#[case::dot(".", "api.example", 6443, false)]
#[case::same_port("api.example:6443", "api.example", 6443, true)]
#[case::other_port("api.example:443", "api.example", 6443, false)]
#[case::below_with_port(".example:6443", "api.example", 6443, true)]
#[case::one_of_several("other,, api.example", "api.example", 6443, true)]
#[case::address("10.0.0.1", "10.0.0.1", 6443, true)]
#[case::other_address("10.0.0.2", "10.0.0.1", 6443, false)]
#[case::address_and_port("10.0.0.1:6443", "10.0.0.1", 6443, true)]
#[case::address_and_other_port("10.0.0.1:443", "10.0.0.1", 6443, false)]
#[case::network("10.0.0.0/8", "10.9.9.9", 6443, true)]
#[case::other_network("10.0.0.0/8", "11.9.9.9", 6443, false)]
#[case::network_and_name("10.0.0.0/8", "api.example", 6443, false)]
#[case::address_of_ipv6("fd00::1", "fd00::1", 6443, true)]
#[case::port_of_ipv6("[fd00::1]:6443", "fd00::1", 6443, true)]
#[case::other_port_of_ipv6("[fd00::1]:443", "fd00::1", 6443, false)]
#[case::network_of_ipv6("fd00::/8", "fd00::1", 6443, true)]
#[case::localhost("", "localhost", 6443, true)]
#[case::loopback("", "127.0.0.7", 6443, true)]
#[case::loopback_of_ipv6("", "::1", 6443, true)]
fn hosts_are_reached_directly_by_the_rules_of_go(
    #[case] no_proxy: &str,
    #[case] host: &str,
    #[case] port: u16,
    #[case] direct: bool,
) {
    assert_eq!(is_direct(host, port, no_proxy), direct);
}

fn variables(http: &str, https: &str, no: &str) -> ProxyVariables {
    ProxyVariables { http: http.into(), https: https.into(), no: no.into() }
}

#[rstest]
#[case("https://api.example:6443", Some("http://secure:3128/"))]
#[case("http://api.example", Some("http://plain:3128/"))]
#[case("https://10.0.0.1", None)]
#[case("https://[fd00::1]:6443", None)]
fn the_variable_for_the_scheme_names_the_proxy(#[case] server: &str, #[case] proxy: Option<&str>) {
    // Without a scheme it is an HTTP proxy.
    let variables = variables("http://plain:3128", "secure:3128", "10.0.0.0/8,fd00::/8");
    let found = variables.proxy_of(&server.parse().unwrap()).unwrap();
    assert_eq!(found.map(|proxy| proxy.to_string()).as_deref(), proxy);
}

#[test]
fn a_variable_that_is_no_url_is_named_without_its_value() {
    let error = variables("", "http://user:secret@a b", "").proxy_of(&"https://api.example".parse().unwrap());
    let text = error.unwrap_err().with_causes().to_string();
    assert!(text.contains("HTTPS_PROXY") && !text.contains("secret"), "{text}");
}

/// Returns a kubeconfig with two clusters, each with its context, of which the first is the current one.
fn kubeconfig(proxy_url: &str) -> Kubeconfig {
    let cluster = |name: &str, proxy_url: &str| serde_json::json!({"name": name, "cluster": {"server": format!("https://{name}.example:6443"), "proxy-url": proxy_url}});
    let context = |name: &str| serde_json::json!({"name": name, "context": {"cluster": name, "user": "me"}});
    serde_json::from_value(serde_json::json!({
        "clusters": [cluster("one", proxy_url), cluster("other", "http://theirs:1")],
        "contexts": [context("one"), context("other")],
        "users": [{"name": "me", "user": {"token": "t"}}],
        "current-context": "one",
    }))
    .unwrap()
}

#[rstest]
#[case::of_the_variable("", "http://secure:3128", "", Some("http://secure:3128/"))]
#[case::not_where_it_does_not_apply("", "http://secure:3128", ".example", None)]
#[case::of_the_kubeconfig_first("http://ours:1", "http://secure:3128", ".example", Some("http://ours:1/"))]
#[case::none("", "", "", None)]
#[tokio::test]
async fn the_proxy_is_that_of_the_kubeconfig_or_that_of_the_variables(
    #[case] proxy_url: &str,
    #[case] https: &str,
    #[case] no: &str,
    #[case] expected: Option<&str>,
) {
    let variables = variables("", https, no);
    let config = config(kubeconfig(proxy_url), &KubeConfigOptions::default(), &variables).await.unwrap();
    assert_eq!(config.proxy_url.map(|url| url.to_string()).as_deref(), expected);
}

#[tokio::test]
async fn the_proxy_is_that_of_the_selected_context() {
    let options = KubeConfigOptions { context: Some("other".into()), ..KubeConfigOptions::default() };
    let config = config(kubeconfig(""), &options, &variables("", "http://secure:3128", "")).await.unwrap();
    assert_eq!(config.proxy_url.unwrap().to_string(), "http://theirs:1/");
}

fn source(proxy_url: &str, cluster_url: &str) -> Result<PodDiscovery, Error> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut config = Config::new(cluster_url.parse().unwrap());
    config.proxy_url = Some(proxy_url.parse().unwrap());
    let client = api_client(&config, &ClientLimits::default())?;
    Ok(PodDiscovery::new(client, "shop", "app=db".parse().unwrap(), 5432))
}

/// Accepts a connection, and reads until `end`.
async fn accept(listener: &TcpListener, end: &[u8]) -> (TcpStream, Vec<u8>) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut read = Vec::new();
    while !read.ends_with(end) {
        assert!(stream.read_buf(&mut read).await.unwrap() > 0);
    }
    (stream, read)
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// First byte of a TLS handshake.
const HANDSHAKE: u8 = 22;

#[tokio::test]
async fn tls_to_the_api_server_goes_through_an_http_proxy_with_its_credentials() {
    let (listener, address) = listen().await;
    let pods = source(&format!("http://user:secret@{address}"), "https://api.example:6443").unwrap();
    let proxy = async {
        let (mut stream, request) = accept(&listener, b"\r\n\r\n").await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        (String::from_utf8(request).unwrap().to_lowercase(), stream.read_u8().await.unwrap())
    };
    let (result, (request, first)) = tokio::join!(pods.list(), proxy);
    assert!(request.starts_with("connect api.example:6443 http/1.1\r\n"), "{request}");
    assert!(request.contains("proxy-authorization: basic dxnlcjpzzwnyzxq=\r\n"), "{request}");
    assert_eq!(first, HANDSHAKE);
    assert!(matches!(result.unwrap_err(), Error::Unreachable { .. }));
}

#[tokio::test]
async fn tls_to_the_api_server_goes_through_a_socks_proxy() {
    let (listener, address) = listen().await;
    let pods = source(&format!("socks5://{address}"), "https://api.example:6443").unwrap();
    let proxy = async {
        let (mut stream, _) = accept(&listener, &[0]).await; // version 5, one method: no authentication
        stream.write_all(&[5, 0]).await.unwrap();
        let mut request = [0; 18];
        stream.read_exact(&mut request).await.unwrap();
        stream.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 1]).await.unwrap();
        (request, stream.read_u8().await.unwrap())
    };
    let (result, (request, first)) = tokio::join!(pods.list(), proxy);
    let [5, 1, 0, 3, 11, name @ .., 25, 43] = &request else { panic!("{request:?}") };
    assert_eq!(name, b"api.example", "the proxy resolves the name");
    assert_eq!(first, HANDSHAKE);
    assert!(matches!(result.unwrap_err(), Error::Unreachable { .. }));
}

#[tokio::test]
async fn a_proxy_that_refuses_is_an_error_of_the_connection() {
    let (listener, address) = listen().await;
    let pods = source(&format!("http://{address}"), "https://api.example").unwrap();
    let proxy = async {
        let (mut stream, request) = accept(&listener, b"\r\n\r\n").await;
        stream.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await.unwrap();
        assert!(request.starts_with(b"CONNECT api.example:443 "));
    };
    let (result, ()) = tokio::join!(pods.list(), proxy);
    let text = result.unwrap_err().with_causes().to_string();
    assert!(text.contains("the API server cannot be reached") && text.contains("proxy"), "{text}");
}

#[rstest]
#[case::tls("https://user:secret@proxy:3128", "https://api.example", "https://proxy ")]
#[case::unknown("ftp://user:secret@proxy:3128", "https://api.example", "ftp://proxy ")]
#[case::old("socks4://user:secret@proxy:3128", "https://api.example", "socks4://proxy ")]
#[case::without_tls("http://user:secret@proxy:3128", "http://api.example", "http://proxy ")]
#[tokio::test]
async fn a_proxy_that_cannot_be_used_is_named_with_the_way_out(
    #[case] proxy: &str,
    #[case] server: &str,
    #[case] name: &str,
) {
    let text = source(proxy, server).unwrap_err().with_causes().to_string();
    assert!(text.contains(name) && !text.contains("secret"), "{text}");
    assert!(text.contains("HTTPS_PROXY") && text.contains("NO_PROXY"), "{text}");
}
