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

/// What TLS needs.
#[derive(Clone, Debug, Default)]
pub(super) struct TlsSettings {
    /// Authorities in PEM; the system's without.
    pub(super) authorities: Option<String>,
    /// Certificate and key in PEM.
    pub(super) identity: Option<Secret>,
}

impl TlsSettings {
    /// Sets what TLS needs.
    ///
    /// reqwest panics without a provider of cryptography, and fails without a store of authorities, which the file system
    /// of a container may lack, even where the URL is plain http. So that gets a configuration that trusts nobody and is
    /// never used, and for https the provider is looked for here.
    pub(super) fn set(&self, client: ClientBuilder, https: bool) -> Result<ClientBuilder, BuildError> {
        if !https {
            return Ok(client.tls_backend_preconfigured(trusting_nobody()?));
        }
        if CryptoProvider::get_default().is_none() {
            return Err(BuildError::NoCryptoProvider);
        }
        let mut client = match &self.authorities {
            Some(pem) => client.tls_certs_only(authorities(pem)?),
            None => client,
        };
        if let Some(pem) = &self.identity {
            let what = "client certificate and key";
            let identity = Identity::from_pem(pem.text().as_bytes())
                .map_err(|e| BuildError::Tls { what, problem: without_url(e) })?;
            client = client.identity(identity);
        }
        Ok(client)
    }
}

fn trusting_nobody() -> Result<ClientConfig, BuildError> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| BuildError::Client(e.to_string()))?;
    Ok(config.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

fn authorities(pem: &str) -> Result<Vec<Certificate>, BuildError> {
    let invalid = |problem| BuildError::Tls { what: "authorities", problem };
    let authorities = Certificate::from_pem_bundle(pem.as_bytes()).map_err(|e| invalid(without_url(e)))?;
    if authorities.is_empty() {
        return Err(invalid("there is no certificate in PEM among them".to_owned()));
    }
    Ok(authorities)
}
