//! The status through the API server's proxy: under which name it arrives, and which setting lets it in.

use std::net::SocketAddr;

use ilb_testbed::{Admin, ApiServer, Ilb, Pods, add_address, alone_in_a_network, pod_ip};
use kube::{Client, client::Body};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

const PORT: u16 = 8081;
/// Name of the API server in the URL of a kubeconfig.
const NAME: &str = "k8s.example:6443";

/// Requests `path` of the pod `lb` through the API server, for which the client knows the name `host`, if any. Returns the
/// status code and the body.
async fn through(client: &Client, pods: &Pods, port: u16, path: &str, host: Option<&str>) -> (u16, String) {
    let url = format!("/api/v1/namespaces/{}/pods/lb:{port}/proxy{path}", pods.namespace());
    let mut request = http::Request::get(url);
    if let Some(host) = host {
        request = request.header("Host", host);
    }
    let response = client.send(request.body(Body::empty()).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    (status, String::from_utf8_lossy(&response.into_body().collect_bytes().await.unwrap()).into_owned())
}

/// Answers one request with its own head, in lower case.
async fn echo(address: SocketAddr) {
    let (mut stream, _) = TcpListener::bind(address).await.unwrap().accept().await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    head.make_ascii_lowercase();
    let start = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", head.len());
    stream.write_all(&[start.as_bytes(), &head].concat()).await.unwrap();
}

fn ilb(address: SocketAddr, hosts: &str) -> (Ilb, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backends.yaml");
    std::fs::write(&file, "- {address: '10.1.0.1:3333'}\n").unwrap();
    let variables = [
        ("ILB_ADMIN_ADDRESS", &*address.to_string()),
        ("ILB_ADMIN_HOSTS", hosts),
        ("ILB_BACKENDS_FILE", file.to_str().unwrap()),
        ("LB_METHOD", "roundrobin"),
        ("TRAEFIK_API_URL", "http://127.0.0.1:1"),
    ];
    (Ilb::start(&variables).unwrap(), folder)
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn the_status_through_the_api_server_arrives_under_the_name_in_its_url() {
    if !alone_in_a_network("api_server_proxy::the_status_through_the_api_server_arrives_under_the_name_in_its_url")
        .unwrap()
    {
        return;
    }
    // The API server refuses to proxy to loopback addresses.
    let address = pod_ip(7);
    add_address(address).unwrap();
    let api_server = ApiServer::start().await.unwrap();
    let pods = api_server.new_namespace("proxied").await.unwrap();
    pods.create_ready("lb", address).await.unwrap();
    let client = api_server.client();

    let ((), (status, head)) =
        tokio::join!(echo((address, 9).into()), through(&client, &pods, 9, "/status", Some(NAME)));
    assert!(status == 200 && head.contains(&format!("\r\nhost: {NAME}\r\n")), "{status}: {head}");

    let (without, _files) = ilb((address, PORT).into(), "ilb.example.com");
    Admin::new((address, PORT).into()).unwrap().wait_until_ok("/startupz").await.unwrap();
    assert_eq!(through(&client, &pods, PORT, "/status", None).await.0, 200, "a URL with an address");
    let (status, text) = through(&client, &pods, PORT, "/status", Some(NAME)).await;
    assert!(status == 421 && text.contains("ILB_ADMIN_HOSTS=k8s.example"), "{status}: {text}");
    drop(without);

    let (_with, _files) = ilb((address, PORT).into(), "k8s.example");
    Admin::new((address, PORT).into()).unwrap().wait_until_ok("/startupz").await.unwrap();
    let (status, text) = through(&client, &pods, PORT, "/status", Some(NAME)).await;
    assert!(status == 200 && text.contains("10.1.0.1:3333"), "{status}: {text}");
}
