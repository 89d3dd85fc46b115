//! Plain HTTP to the testbed.

/// Creates a client for plain HTTP.
///
/// Cargo unifies features, so reqwest may have TLS in this build. It then wants a provider of cryptography and a store
/// of authorities, although neither is ever used here.
pub fn http_client() -> anyhow::Result<reqwest::Client> {
    // An error means that one has been installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(reqwest::Client::builder().no_proxy().tls_certs_only([]).build()?)
}
