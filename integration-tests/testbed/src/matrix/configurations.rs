//! Configurations for the checks.

use std::net::SocketAddr;

use ilb_traefik_client::{Certificate, Configuration, Member, Name, TcpPool, Traefik};
use rcgen::{CertificateParams, KeyPair};

use crate::{BareTraefik, Net};

/// Creates the client for `traefik`, which has no throttle.
pub(super) fn client(traefik: &BareTraefik) -> anyhow::Result<Traefik> {
    Ok(Traefik::builder(&traefik.url()).throttle(std::time::Duration::ZERO).build()?)
}

pub(super) fn name(text: &str) -> anyhow::Result<Name> {
    Ok(text.parse()?)
}

/// Returns addresses of backends that no other check uses.
pub(super) fn addresses(count: u16) -> anyhow::Result<Vec<SocketAddr>> {
    let group = Net::for_this_process()?.group();
    Ok((0..count).map(|index| group.address(index, 5000)).collect())
}

/// Creates a configuration with one pool on the entry point `tcp` and a default certificate.
pub(super) fn pool(members: impl IntoIterator<Item = (SocketAddr, u32)>) -> anyhow::Result<Configuration> {
    let mut configuration = Configuration::default();
    TcpPool::new(name("pool")?, name("tcp")?)
        .members(members.into_iter().map(|(address, weight)| Member::new(address, weight)))
        .add_to(&mut configuration);
    configuration.set_default_certificate(certificate()?);
    Ok(configuration)
}

/// Creates a self-signed certificate (P-256).
pub(super) fn certificate() -> anyhow::Result<Certificate> {
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(["db.example.org".to_owned()])?.self_signed(&key)?;
    Ok(Certificate::try_from_pem(certificate.pem(), key.serialize_pem())?)
}
