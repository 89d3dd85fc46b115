use std::time::Duration;

use reqwest::{Client, Method, Response, StatusCode, Url, header};

use super::credentials::Credentials;
use crate::Error;

/// Path of the REST provider below the base URL.
pub(super) const REST_PROVIDER_PATH: &str = "api/providers/rest";

/// Maximum size of a response that does not grow with the configuration.
pub(super) const MAX_FIXED_RESPONSE_BYTES: usize = 64 * 1024;

/// Maximum size of a response that also lists what other providers have configured.
pub(super) const MAX_LISTING_BYTES: usize = 16 * 1024 * 1024;

/// HTTP towards one Traefik: each call in bounded time and memory, and no message with a credential or a URL in it.
pub(super) struct Http {
    pub(super) client: Client,
    /// With a path that ends in `/`.
    pub(super) base: Url,
    pub(super) label: String,
    pub(super) credentials: Credentials,
    /// Of one call, from connecting to the last byte of the answer.
    pub(super) call_within: Duration,
}

impl Http {
    /// The host and port.
    pub(super) fn label(&self) -> &str {
        &self.label
    }

    /// The body of `path`, of at most `longest` bytes.
    pub(super) async fn get(&self, path: &str, what: &'static str, longest: usize) -> Result<Vec<u8>, Error> {
        self.call(Method::GET, path, None, what, longest).await
    }

    /// Sends `body` and returns the answer's, of at most `longest` bytes.
    pub(super) async fn put(
        &self,
        path: &str,
        what: &'static str,
        body: &[u8],
        longest: usize,
    ) -> Result<Vec<u8>, Error> {
        self.call(Method::PUT, path, Some(body), what, longest).await
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&[u8]>,
        what: &'static str,
        longest: usize,
    ) -> Result<Vec<u8>, Error> {
        let url =
            self.base.join(path).map_err(|e| Error::Unreachable(format!("no URL can be made for {what} ({e})")))?;
        let mut request = self.client.request(method, url).timeout(self.call_within);
        if let Some(authorization) = self.credentials.header()? {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        if let Some(body) = body {
            request = request.header(header::CONTENT_TYPE, "application/json").body(body.to_vec());
        }
        let answer = request.send().await.map_err(|e| unreachable(&e))?;
        match answer.status() {
            // What is sent comes back, without its length being announced.
            StatusCode::OK => read(answer, what, longest, body.map_or(0, <[u8]>::len)).await,
            StatusCode::NOT_FOUND => Err(Error::NotReady(what)),
            status => Err(refused(what, status, answer).await),
        }
    }
}

/// The body, of which nothing beyond `longest` is kept or waited for.
async fn read(mut answer: Response, what: &'static str, longest: usize, expected: usize) -> Result<Vec<u8>, Error> {
    let announced = answer.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(expected + 64);
    let mut body = Vec::with_capacity(announced.min(longest));
    while let Some(chunk) = answer.chunk().await.map_err(|e| unreachable(&e))? {
        if body.len() + chunk.len() > longest {
            let problem = format!("it is longer than {longest} bytes");
            return Err(Error::Unintelligible { what, problem });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// An error with the first lines of what Traefik said.
async fn refused(what: &'static str, status: StatusCode, mut answer: Response) -> Error {
    const MAX_REASON_BYTES: usize = 1024;
    let mut text = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        text.extend_from_slice(&chunk);
        if text.len() >= MAX_REASON_BYTES {
            text.truncate(MAX_REASON_BYTES);
            break;
        }
    }
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    Error::Refused { what, status: status.as_u16(), text }
}

fn unreachable(error: &reqwest::Error) -> Error {
    let what = if error.is_timeout() { "no answer in time: " } else { "" };
    Error::Unreachable(format!("{what}{}", root_cause(error)))
}

/// What the operating system, TLS or the parser said, without the layers in between, of which the outermost would name
/// the URL.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut root = error.source();
    while let Some(source) = root.and_then(std::error::Error::source) {
        root = Some(source);
    }
    root.map_or_else(|| "the connection failed".to_owned(), ToString::to_string)
}
