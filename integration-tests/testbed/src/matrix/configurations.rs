//! Configurations for the checks.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU16, Ordering},
};

use ilb_traefik_client::{Certificate, Configuration, Member, Name, TcpPool, Traefik};
use rcgen::{CertificateParams, KeyPair};

use crate::{BareTraefik, Net};

/// The client for `traefik`, which has no throttle.
pub(super) fn client(traefik: &BareTraefik) -> anyhow::Result<Traefik> {
    Ok(Traefik::builder(&traefik.url()).throttle(std::time::Duration::ZERO).build()?)
}

pub(super) fn name(text: &str) -> anyhow::Result<Name> {
    Ok(text.parse()?)
}

/// Addresses that nobody else uses.
pub(super) fn addresses(count: u16) -> anyhow::Result<Vec<SocketAddr>> {
    /// The last one, which is far from those of the tests that count them themselves.
    const GROUP: u8 = 61;
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    let (net, first) = (Net::of_this_process()?, GIVEN.fetch_add(count, Ordering::Relaxed));
    Ok((first..first + count).map(|index| net.backend(GROUP, index, 5000)).collect())
}

/// One pool on the entry point `tcp`, with a default certificate.
pub(super) fn pool(members: impl IntoIterator<Item = (SocketAddr, u32)>) -> anyhow::Result<Configuration> {
    let mut configuration = Configuration::default();
    TcpPool::new(name("pool")?, name("tcp")?)
        .members(members.into_iter().map(|(address, weight)| Member::new(address, weight)))
        .add_to(&mut configuration);
    configuration.set_default_certificate(certificate()?);
    Ok(configuration)
}

/// Self-signed, P-256.
pub(super) fn certificate() -> anyhow::Result<Certificate> {
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(["db.example.org".to_owned()])?.self_signed(&key)?;
    Ok(Certificate::try_from_pem(certificate.pem(), key.serialize_pem())?)
}
