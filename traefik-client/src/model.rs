//! What Traefik is told, as types that cannot express what breaks it.

mod address;
mod configuration;
mod duration;
mod health;
mod middleware;
mod name;
mod pem;
mod router;
mod rule;
mod service;
mod services;
mod tls;
mod transport;
mod udp;

pub use self::{
    address::{InvalidAddress, IpRange, ServerName, Weight},
    configuration::{Configuration, Tcp, Tls, Udp},
    duration::TraefikDuration,
    health::{HealthCheck, InvalidHealthCheck},
    middleware::Middleware,
    name::{InvalidName, Name},
    pem::{Certificate, InvalidPem},
    router::{Domain, InvalidRouter, RouterTls, TcpRouter, UdpRouter},
    rule::{InvalidRule, Rule},
    service::{Child, LoadBalancer, Server, TcpService, Weighted},
    services::{InvalidService, Service, Services},
    tls::{CertificateEntry, ClientAuth, ClientAuthType, DefaultStore, Stores, TlsOptions, TlsVersion},
    transport::{ProxyProtocol, ServersTransport, Spiffe, Timeouts, TransportTls},
    udp::{UdpLoadBalancer, UdpServer, UdpService, UdpWeighted},
};
