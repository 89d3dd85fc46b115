//! Serialised configurations with the marker of their revision.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Serialize, Serializer};

use crate::{
    Configuration, Name, Revision,
    model::{LoadBalancer, Middleware, ServersTransport, Services, Tcp, TcpRouter, TcpService, Tls, Udp},
};

/// Bytes of a configuration, which contain the marker of its revision.
///
/// A configuration is serialised only once: with zeros in place of the revision. The hash of these bytes is the revision,
/// which then overwrites the zeros.
#[derive(Clone, Debug)]
pub(crate) struct Payload {
    revision: Revision,
    #[cfg_attr(not(any(feature = "client", test)), expect(dead_code, reason = "only the client sends it"))]
    bytes: Bytes,
}

/// Bytes of a backend in a configuration: about its longest, so that a payload is never moved while it grows.
const BYTES_PER_SERVICE: usize = 200;

impl Payload {
    pub(crate) fn new(configuration: &Configuration) -> Self {
        let zero = Revision::zero();
        let mut bytes = Vec::with_capacity(4096 + BYTES_PER_SERVICE * configuration.tcp.services.len());
        // Writing to a vector cannot fail, and all keys of the model are texts.
        let written = serde_json::to_writer(&mut bytes, &Marked::new(configuration, zero.name()));
        debug_assert!(written.is_ok(), "{written:?}");
        let revision = Revision::from_bytes(&bytes);
        let key = format!("\"{}\":", zero.name());
        // The first match is the marker: no name begins like it, and in a text the quotation mark would be escaped.
        if let Some(at) = memchr::memmem::find(&bytes, key.as_bytes()) {
            let name = revision.name().as_str().as_bytes();
            bytes[at + 1..at + 1 + name.len()].copy_from_slice(name);
        }
        Self { revision, bytes: bytes.into() }
    }
}

impl From<&Configuration> for Revision {
    /// Hashes the bytes that would be sent, with zeros in place of the revision: the first 64 bits of SHA-256.
    fn from(configuration: &Configuration) -> Self {
        Payload::new(configuration).revision
    }
}

#[cfg(any(feature = "client", test))]
impl Payload {
    pub(crate) fn revision(&self) -> &Revision {
        &self.revision
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

/// A [`Configuration`] with the marker as one more service. The structs are destructured without `..`, so that a new field
/// cannot be forgotten.
#[derive(Serialize)]
struct Marked<'a> {
    tcp: MarkedTcp<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    udp: Option<&'a Udp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<&'a Tls>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MarkedTcp<'a> {
    routers: &'a BTreeMap<Name, TcpRouter>,
    services: MarkedServices<'a>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    middlewares: &'a BTreeMap<Name, Middleware>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    servers_transports: &'a BTreeMap<Name, ServersTransport>,
}

struct MarkedServices<'a> {
    services: &'a Services<TcpService>,
    marker: &'a Name,
}

impl<'a> Marked<'a> {
    fn new(configuration: &'a Configuration, marker: &'a Name) -> Self {
        let Configuration { tcp, udp, tls } = configuration;
        let Tcp { routers, services, middlewares, servers_transports } = tcp;
        let services = MarkedServices { services, marker };
        let udp = (!udp.is_empty()).then_some(udp);
        Self { tcp: MarkedTcp { routers, services, middlewares, servers_transports }, udp, tls: tls.as_ref() }
    }
}

/// Writes the services in the order of their names, as Traefik echoes them.
impl Serialize for MarkedServices<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// A service without servers, which costs Traefik nothing.
        static MARKER: std::sync::LazyLock<TcpService> = std::sync::LazyLock::new(|| LoadBalancer::default().into());
        let (before, after) = self.services.around(self.marker);
        serializer.collect_map(before.chain([(self.marker, &*MARKER)]).chain(after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Member, TcpPool};

    fn configuration(names: &[&str]) -> Configuration {
        let mut configuration = Configuration::default();
        for name in names {
            TcpPool::new(name.parse().unwrap(), "tcp".parse().unwrap())
                .member(Member::new("10.0.0.1:1".parse().unwrap(), 1))
                .add_to(&mut configuration);
        }
        configuration
    }

    #[test]
    fn equal_configurations_give_equal_bytes_and_different_ones_different_revisions() {
        let (ab, ba) = (Payload::new(&configuration(&["a", "b"])), Payload::new(&configuration(&["b", "a"])));
        assert_eq!(ab.bytes(), ba.bytes());
        assert_ne!(ab.revision(), Payload::new(&configuration(&["a"])).revision());
    }

    #[test]
    fn the_payload_is_the_configuration_and_its_marker_in_the_order_of_names() {
        let configuration = configuration(&["a", "rev", "rev_a", "z"]);
        let payload = Payload::new(&configuration);
        let text = String::from_utf8(payload.bytes().to_vec()).unwrap();
        let names = ["\"a\":{\"w", "\"a.10", payload.revision().name().as_str(), "\"rev\":{\"w", "\"z\":{\"w"];
        let mut at: Vec<_> = names.iter().map(|name| text.find(name).unwrap()).collect();
        at.swap(2, 3);
        assert!(at.is_sorted(), "{text}");
        assert_eq!(serde_json::from_str::<Configuration>(&text).unwrap(), configuration);
    }

    #[test]
    fn a_text_that_looks_like_the_marker_is_left_alone() {
        let mut configuration = configuration(&["a"]);
        let bait = "\"rev-0000000000000000\":".to_owned();
        configuration.tls.get_or_insert_default().certificates =
            vec![crate::Certificate::from_pem(bait.clone(), bait).into()];
        let payload = Payload::new(&configuration);
        let text = String::from_utf8(payload.bytes().to_vec()).unwrap();
        assert!(text.contains(&format!("\"{}\":{{\"loadBalancer\"", payload.revision().name())), "{text}");
    }
}
