//! TLS settings of the HTTP client.

use std::sync::Arc;

use reqwest::{Certificate, ClientBuilder, Identity};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::{CryptoProvider, ring},
};

use super::{
    build_error::{BuildError, without_url},
    credentials::Secret,
};

/// Certificates for connections over TLS.
#[derive(Clone, Debug, Default)]
pub(super) struct TlsSettings {
    /// Trusted authorities in PEM; `None` for those of the system.
    pub(super) authorities: Option<String>,
    /// Client certificate and key in PEM.
    pub(super) identity: Option<Secret>,
}

impl TlsSettings {
    /// Applies the settings to the client of an https URL.
    pub(super) fn set(&self, client: ClientBuilder) -> Result<ClientBuilder, BuildError> {
        if CryptoProvider::get_default().is_none() {
            return Err(BuildError::NoCryptoProvider);
        }
        let mut client = match &self.authorities {
            Some(pem) => client.tls_certs_only(authorities(pem)?),
            None => client,
        };
        if let Some(pem) = &self.identity {
            let identity = Identity::from_pem(pem.text().as_bytes())
                .map_err(|e| BuildError::Tls { what: "client certificate and key", source: without_url(e) })?;
            client = client.identity(identity);
        }
        Ok(client)
    }
}

/// Gives the client of a plain http URL a TLS configuration that trusts no authority and is never used.
///
/// Without one, reqwest panics where no crypto provider is installed, and fails where there is no store of authorities,
/// which the file system of a container may lack.
pub(super) fn set_unused(client: ClientBuilder) -> Result<ClientBuilder, BuildError> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| BuildError::Client(e.into()))?;
    let config = config.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    Ok(client.tls_backend_preconfigured(config))
}

fn authorities(pem: &str) -> Result<Vec<Certificate>, BuildError> {
    let authorities = Certificate::from_pem_bundle(pem.as_bytes())
        .map_err(|e| BuildError::Tls { what: "authorities", source: without_url(e) })?;
    if authorities.is_empty() {
        return Err(BuildError::NoAuthority);
    }
    Ok(authorities)
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn authorities_that_cannot_be_parsed_are_an_error_with_its_source() {
        let error = authorities("-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----").unwrap_err();
        assert_eq!(error.to_string(), "the authorities cannot be used");
        assert!(error.source().unwrap().is::<reqwest::Error>(), "{error:?}");
    }

    #[test]
    fn a_text_without_a_certificate_is_an_error() {
        assert!(matches!(authorities("ca.pem").unwrap_err(), BuildError::NoAuthority));
    }
}
