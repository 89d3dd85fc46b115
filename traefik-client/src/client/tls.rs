use reqwest::{Certificate, ClientBuilder, Identity};
use rustls::crypto::CryptoProvider;

use super::builder::{BuildError, TlsSettings, without_url};

impl TlsSettings {
    /// Sets what TLS needs.
    ///
    /// reqwest panics without a provider of cryptography, and fails without a store of authorities even where the URL is
    /// plain http and the file system of a container has none. So the first is looked for here, and the store is read
    /// only where it is needed.
    pub(super) fn set(&self, client: ClientBuilder, https: bool) -> Result<ClientBuilder, BuildError> {
        if CryptoProvider::get_default().is_none() {
            return Err(BuildError::NoCryptoProvider);
        }
        let mut client = match &self.authorities {
            Some(pem) => client.tls_certs_only(authorities(pem)?),
            None if https => client,
            None => client.tls_certs_only([]),
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

fn authorities(pem: &str) -> Result<Vec<Certificate>, BuildError> {
    let invalid = |problem| BuildError::Tls { what: "authorities", problem };
    let authorities = Certificate::from_pem_bundle(pem.as_bytes()).map_err(|e| invalid(without_url(e)))?;
    if authorities.is_empty() {
        return Err(invalid("there is no certificate in PEM among them".to_owned()));
    }
    Ok(authorities)
}
