use ilb_traefik_client::Certificate;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};

/// A self-signed P-256 certificate for Traefik to show where TLS is spoken to it by mistake.
///
/// No client is meant to trust it. It is there because Traefik without one makes an RSA key at each change of its
/// configuration, which takes 100 to 200 ms.
pub(crate) fn generate() -> Result<Certificate, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    // Under this name Traefik keeps it out of its list and its metrics of certificates, as it does with its own.
    params.distinguished_name.push(DnType::CommonName, "TRAEFIK DEFAULT CERT");
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let certificate = params.self_signed(&key)?;
    Ok(Certificate::from_pem(certificate.pem(), key.serialize_pem()))
}
