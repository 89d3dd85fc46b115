//! Traefik's default certificate.

use ilb_traefik_client::Certificate;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};

/// Generates a self-signed P-256 certificate, which Traefik presents to clients that use TLS by mistake.
///
/// No client is meant to trust it. Without a default certificate Traefik generates an RSA key at each change of its
/// configuration, which takes 100 to 200 ms.
pub(crate) fn generate() -> Result<Certificate, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    // Traefik leaves a certificate with this name, which its own has too, out of its list and metrics of certificates.
    params.distinguished_name.push(DnType::CommonName, "TRAEFIK DEFAULT CERT");
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let certificate = params.self_signed(&key)?;
    Ok(Certificate::from_pem(certificate.pem(), key.serialize_pem()))
}
