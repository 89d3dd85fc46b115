//! Tests of the whole model.

use std::time::Duration;

use super::*;
use crate::{
    Member, ProxyProtocol, TcpPool, Timeouts,
    model::{
        Child, ClientAuth, Domain, HealthCheck, LoadBalancer, RouterTls, Rule, Server, TlsVersion, TransportTls,
        UdpLoadBalancer, UdpWeighted, Weight, Weighted,
    },
};

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// Returns a configuration that contains each part of the model at least once.
pub(crate) fn everything() -> Configuration {
    let mut configuration = Configuration::default();
    TcpPool::new(name("pool"), name("tcp"))
        .member(Member::new("10.0.1.4:3333".parse().unwrap(), 1))
        .member(Member::new("[fd00::1]:3333".parse().unwrap(), 3))
        .proxy_protocol(ProxyProtocol::V2)
        .add_to(&mut configuration);
    tcp(&mut configuration.tcp);
    udp(&mut configuration.udp);
    tls(configuration.tls.get_or_insert_default());
    configuration.set_default_certificate(certificate());
    configuration
}

fn tcp(tcp: &mut Tcp) {
    let server = Server { tls: true, ..Server::from(std::net::SocketAddr::from(([127, 0, 0, 1], 1))) };
    let mut checked = LoadBalancer::new(name("secure"), [server]);
    let check = HealthCheck::try_new(Duration::from_secs(10), Duration::from_millis(500)).unwrap();
    let check = check.port(80.try_into().unwrap()).exchange("PING", "PONG").unhealthy_interval(Duration::from_secs(2));
    checked.health_check = Some(check);
    tcp.services.insert(name("checked"), checked).unwrap();
    let mut parent = Weighted::new([Child::new(name("checked"), Weight::try_from(2).unwrap())]);
    parent.health_check = true;
    tcp.services.insert(name("parent"), parent).unwrap();
    tcp.middlewares.insert(name("limit"), Middleware::InFlightConn { amount: 5.try_into().unwrap() });
    let source_range = vec!["10.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()];
    tcp.middlewares.insert(name("allow"), Middleware::IpAllowList { source_range });
    let transport_tls = TransportTls {
        server_name: Some("db.example.org".parse().unwrap()),
        root_cas: vec!["CA".into()],
        certificates: vec![certificate()],
        peer_cert_uri: Some("spiffe://a/b".into()),
        ..TransportTls::default()
    };
    tcp.servers_transports.insert(name("secure"), ServersTransport::new(Timeouts::default()).tls(transport_tls));
    let rule = Rule::server_name(&"db.example.org".parse().unwrap()).and(Rule::client(&"10.0.0.0/8".parse().unwrap()));
    let domains = vec![Domain::new("db.example.org".parse().unwrap(), ["*.example.org".parse().unwrap()])];
    let decrypted = RouterTls { domains, ..RouterTls::with_options(name("modern")) };
    let router = TcpRouter::try_new([name("tcp"), name("other")], rule.clone(), 200, name("parent"), Some(decrypted));
    tcp.routers.insert(name("named"), router.unwrap().through([name("limit"), name("allow")]));
    let passed = TcpRouter::try_new([name("tcp")], rule, 201, name("parent"), Some(RouterTls::passthrough()));
    tcp.routers.insert(name("passed"), passed.unwrap());
}

fn udp(udp: &mut Udp) {
    let servers: UdpLoadBalancer = ["10.0.0.1:53".parse().unwrap()].into_iter().collect();
    udp.services.insert(name("dns"), servers).unwrap();
    let parent: UdpWeighted = [Child::new(name("dns"), Weight::ONE)].into_iter().collect();
    udp.services.insert(name("names"), parent).unwrap();
    udp.routers.insert(name("names"), UdpRouter::try_new([name("udp")], name("names")).unwrap());
}

fn tls(tls: &mut Tls) {
    tls.certificates.push(certificate().into());
    let options = TlsOptions {
        min_version: Some(TlsVersion::Tls12),
        max_version: Some(TlsVersion::Tls13),
        cipher_suites: vec!["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256".into()],
        curve_preferences: vec!["CurveP256".into()],
        client_auth: Some(ClientAuth::require(["CA".into()])),
        sni_strict: true,
        alpn_protocols: vec!["h2".into()],
        disable_session_tickets: true,
    };
    tls.options.insert(name("modern"), options);
}

fn certificate() -> Certificate {
    Certificate::from_pem("CERTIFICATE".into(), "KEY".into())
}

#[test]
fn the_whole_model_is_written_as_traefik_reads_it() {
    insta::assert_json_snapshot!("everything", everything());
}

#[test]
fn what_is_written_is_read_back() {
    let json = serde_json::to_string(&everything()).unwrap();
    assert_eq!(serde_json::from_str::<Configuration>(&json).unwrap(), everything());
}

#[test]
fn the_empty_configuration_has_its_maps() {
    let json = serde_json::to_string(&Configuration::default()).unwrap();
    assert_eq!(json, r#"{"tcp":{"routers":{},"services":{}}}"#);
}

#[test]
fn a_null_entry_is_not_read() {
    for poison in [r#"{"tcp":{"routers":{"x":null}}}"#, r#"{"tcp":{"services":{"x":null}}}"#] {
        assert!(serde_json::from_str::<Configuration>(poison).is_err(), "{poison}");
    }
}

#[test]
fn a_router_without_entry_point_or_without_the_tls_it_needs_does_not_exist() {
    assert!(TcpRouter::try_new([], Rule::any(), 1, name("a"), None).is_err());
    let named = Rule::server_name(&"a.example".parse().unwrap());
    assert!(TcpRouter::try_new([name("tcp")], named, 1, name("a"), None).is_err());
    assert!(UdpRouter::try_new([], name("a")).is_err());
}

#[test]
fn a_transport_without_dial_timeout_is_not_read() {
    let poison = r#"{"tcp":{"serversTransports":{"t":{"dialKeepAlive":"1s","terminationDelay":"1s"}}}}"#;
    assert!(serde_json::from_str::<Configuration>(poison).is_err());
}

#[test]
fn a_dial_timeout_is_never_none() {
    let transport = ServersTransport::new(Timeouts { dial: Duration::ZERO, ..Timeouts::default() });
    assert!(serde_json::to_string(&transport).unwrap().contains(r#""dialTimeout":"1ms""#));
}
