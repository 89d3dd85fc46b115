//! HTTP requests to one Traefik, in bounded time and memory.

use std::time::Duration;

use bytes::Bytes;
use reqwest::{Client, Method, Response, StatusCode, Url, header};

use super::credentials::Credentials;
use crate::Error;

/// Path of the REST provider below the base URL.
pub(super) const REST_PROVIDER_PATH: &str = "api/providers/rest";

/// Maximum size of a response that does not grow with the configuration.
pub(super) const MAX_FIXED_RESPONSE_BYTES: usize = 64 * 1024;

/// Maximum size of a response that also lists what other providers have configured.
pub(super) const MAX_LISTING_BYTES: usize = 16 * 1024 * 1024;

/// HTTP client of one Traefik. No error contains a credential or a URL.
pub(super) struct Http {
    pub(super) client: Client,
    /// Base URL, with a path that ends in `/`.
    pub(super) base: Url,
    pub(super) label: String,
    pub(super) credentials: Credentials,
    /// Maximum time of one request, from connecting to the last byte of the response.
    pub(super) call_within: Duration,
}

impl Http {
    /// Returns host and port.
    pub(super) fn label(&self) -> &str {
        &self.label
    }

    /// Returns the response body of `path`, of at most `max_bytes`.
    pub(super) async fn get(&self, path: &str, what: &'static str, max_bytes: usize) -> Result<Vec<u8>, Error> {
        self.call(Method::GET, path, None, what, max_bytes).await
    }

    /// Sends `body` and returns the response body, of at most `max_bytes`.
    pub(super) async fn put(
        &self,
        path: &str,
        what: &'static str,
        body: &Bytes,
        max_bytes: usize,
    ) -> Result<Vec<u8>, Error> {
        self.call(Method::PUT, path, Some(body), what, max_bytes).await
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Bytes>,
        what: &'static str,
        max_bytes: usize,
    ) -> Result<Vec<u8>, Error> {
        let url = self.base.join(path).map_err(|e| Error::Unreachable {
            reason: format!("no URL can be made for {what} ({e})"),
            source: Some(e.into()),
        })?;
        let mut request = self.client.request(method, url).timeout(self.call_within);
        if let Some(authorization) = self.credentials.header(self.call_within).await? {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        if let Some(body) = body {
            request = request.header(header::CONTENT_TYPE, "application/json").body(body.clone());
        }
        let response = request.send().await.map_err(unreachable)?;
        match response.status() {
            // Traefik echoes the body without announcing its length.
            StatusCode::OK => read(response, what, max_bytes, body.map_or(0, Bytes::len)).await,
            StatusCode::NOT_FOUND => Err(Error::NotReady(what)),
            status => Err(refused(what, status, response).await),
        }
    }
}

/// Reads the body; stops at the first byte beyond `max_bytes`.
async fn read(
    mut response: Response,
    what: &'static str,
    max_bytes: usize,
    expected_bytes: usize,
) -> Result<Vec<u8>, Error> {
    let announced = response.content_length().and_then(|length| usize::try_from(length).ok());
    let mut body = Vec::with_capacity(announced.unwrap_or(expected_bytes + 64).min(max_bytes));
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > max_bytes {
            let problem = format!("it is longer than {max_bytes} bytes");
            return Err(Error::Unintelligible { what, problem, source: None });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Returns an error with the first lines of the response.
async fn refused(what: &'static str, status: StatusCode, mut response: Response) -> Error {
    const MAX_REASON_BYTES: usize = 1024;
    let mut text = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        text.extend_from_slice(&chunk);
        if text.len() >= MAX_REASON_BYTES {
            text.truncate(MAX_REASON_BYTES);
            break;
        }
    }
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    Error::Refused { what, status: status.as_u16(), text }
}

fn unreachable(error: reqwest::Error) -> Error {
    let context = if error.is_timeout() { "no answer in time: " } else { "" };
    let reason = format!("{context}{}", root_cause(&error));
    Error::Unreachable { reason, source: Some(error.without_url().into()) }
}

/// Returns the text of the innermost error, which is that of the operating system, TLS or the parser. The layers above
/// it add nothing, and the outermost would name the URL.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut root = error.source();
    while let Some(source) = root.and_then(std::error::Error::source) {
        root = Some(source);
    }
    root.map_or_else(|| "the connection failed".to_owned(), ToString::to_string)
}
