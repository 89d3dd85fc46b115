/// A client for plain HTTP to the testbed.
///
/// Features of one crate are those of all in a build, so reqwest may have TLS here; then it wants a provider of
/// cryptography and a store of authorities even though neither is ever used.
pub fn http_client() -> anyhow::Result<reqwest::Client> {
    // An error means that somebody else has installed one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(reqwest::Client::builder().no_proxy().tls_certs_only([]).build()?)
}
