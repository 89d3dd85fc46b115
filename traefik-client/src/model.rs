//! Traefik's configuration, as types that cannot express what breaks Traefik.
//!
//! A type whose values have to be checked has private fields and constructors that return an error: `FromStr` for texts,
//! `TryFrom` for numbers and `try_new` for the rest. All other types have public fields.

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
mod socket_address;
mod tls;
mod transport;
mod udp;
mod weight;

pub(crate) use self::socket_address::push_address;
pub use self::{
    address::{InvalidAddress, IpRange, ServerName},
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
    transport::{InvalidProxyProtocol, ProxyProtocol, ServersTransport, Spiffe, Timeouts, TransportTls},
    udp::{UdpLoadBalancer, UdpServer, UdpService, UdpWeighted},
    weight::{InvalidWeight, Weight},
};
