//! One request to the API server: a page of a list, or a watch. Nothing is retried here, every wait has a timeout, and
//! every response a maximum length.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use kube::{
    Client,
    api::{ListParams, WatchEvent},
    client::Body,
    core::{Request as Requests, Status},
};
use tokio::time::{Instant, timeout};

use super::{
    body_lines::{BodyLines, NoLine},
    decoded::{self, Decoded, PageBody},
    object::Object,
    request_error::RequestError,
    scope::Scope,
    version_guard::Known,
};

/// Timeout of a page of a list, from the request to its last byte.
const PAGE_TIMEOUT: Duration = Duration::from_secs(30);
/// Timeout of the response to a watch request. Its events come later.
const WATCH_OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum length of an event. By default etcd refuses objects above 1.5 MB; as JSON, one can be several times larger.
const MAX_EVENT_BYTES: usize = 16 << 20;
const MAX_PAGE_BYTES: usize = 256 << 20;
const MAX_ERROR_BYTES: usize = 64 << 10;

/// Part of a list.
pub(super) struct Page<K> {
    pub(super) version: String,
    /// Token of the next page, if there is one.
    pub(super) next: Option<String>,
    pub(super) items: Vec<Decoded<K>>,
}

impl<K: Object> Page<K> {
    /// Requests the page to which `token` leads, or the first. Refuses one that is older than what was `known` of the
    /// scope when the list began.
    pub(super) async fn get(
        client: &Client,
        scope: &Scope,
        token: Option<&str>,
        known: Known,
    ) -> Result<Self, RequestError> {
        let PageBody { metadata, items } = list(client, scope, &scope.page(token), known, decoded::page).await?;
        Ok(Self {
            version: metadata.resource_version.unwrap_or_default(),
            next: metadata.r#continue.filter(|token| !token.is_empty()),
            items: items.unwrap_or_default(),
        })
    }
}

/// Requests the collection's version, and refuses one that is older than what is known of the scope.
pub(super) async fn probe(client: &Client, scope: &Scope) -> Result<(), RequestError> {
    let known = scope.versions().known();
    list(client, scope, &scope.probe(), known, decoded::page_without_objects).await?;
    Ok(())
}

async fn list<T>(
    client: &Client,
    scope: &Scope,
    params: &ListParams,
    known: Known,
    decode: impl FnOnce(&[u8]) -> serde_json::Result<PageBody<T>>,
) -> Result<PageBody<T>, RequestError> {
    if scope.is_unnamed {
        return Err(RequestError::UnnamedNamespace);
    }
    let request = Requests::new(&scope.path).list(params).map_err(unbuilt)?;
    let answer = async {
        let body = Limited::new(send(client, scope, request).await?.into_body(), MAX_PAGE_BYTES);
        let bytes = body.collect().await.map_err(RequestError::Body)?.to_bytes();
        decode(&bytes).map_err(RequestError::Decode)
    };
    let page = timeout(PAGE_TIMEOUT, answer).await.map_err(|_| RequestError::Silent(PAGE_TIMEOUT))??;
    let version = page.metadata.resource_version.as_deref().unwrap_or_default();
    if version.is_empty() {
        return Err(RequestError::NoVersion);
    }
    scope.contact.note();
    scope.versions().admit(version, known, Instant::now()).map_err(RequestError::Older)?;
    Ok(page)
}

/// Open watch.
pub(super) struct Watch(BodyLines);

impl Watch {
    /// Opens a watch from `version` on. Returns when the API server has accepted it.
    pub(super) async fn open(client: &Client, scope: &Scope, version: &str) -> Result<Self, RequestError> {
        let mut request = Requests::new(&scope.path).watch(&scope.watch(), version).map_err(unbuilt)?;
        // Kubernetes 1.37 compresses each event separately, which decompressing clients do not understand: kube-rs/kube#2079.
        request.headers_mut().insert(header::ACCEPT_ENCODING, header::HeaderValue::from_static("identity"));
        let answer = timeout(WATCH_OPEN_TIMEOUT, send(client, scope, request)).await;
        let answer = answer.map_err(|_| RequestError::Silent(WATCH_OPEN_TIMEOUT))??;
        scope.contact.note();
        Ok(Self(BodyLines::new(answer.into_body(), MAX_EVENT_BYTES)))
    }

    /// Returns the next event, or `None` at the end of the watch.
    pub(super) async fn next<K: Object>(
        &mut self,
        scope: &Scope,
    ) -> Result<Option<WatchEvent<Decoded<K>>>, RequestError> {
        let limit = scope.silence_timeout();
        let line = timeout(limit, self.0.next()).await.map_err(|_| RequestError::Silent(limit))?;
        let event = match line {
            Ok(line) => Some(decoded::event(&line).map_err(RequestError::Decode)?),
            Err(NoLine::End) => None,
            Err(no_line) => return Err(RequestError::Watch(no_line)),
        };
        scope.contact.note();
        Ok(event)
    }
}

/// Sends `request` and waits for the head of the response. A response with an error status is read and returned as an
/// error.
async fn send(client: &Client, scope: &Scope, request: Request<Vec<u8>>) -> Result<Response<Body>, RequestError> {
    let answer = client.send(request.map(Body::from)).await.map_err(RequestError::Client)?;
    scope.clock.read(answer.headers());
    let code = answer.status();
    if code.is_success() {
        return Ok(answer);
    }
    if code == StatusCode::FORBIDDEN {
        // Only an API server that works can judge what this client may do.
        scope.contact.note();
    }
    let retry_after = retry_after(answer.headers());
    let body = Limited::new(answer.into_body(), MAX_ERROR_BYTES).collect().await;
    // The status alone is enough: a body that cannot be read changes nothing.
    let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let status = Box::new(status(code, &body));
    let retry_after = retry_after.or_else(|| retry_after_of(&status));
    Err(RequestError::Refused { status, retry_after })
}

/// Returns the pause that a status demands before the next request.
pub(super) fn retry_after_of(status: &Status) -> Option<Duration> {
    let seconds = status.details.as_ref()?.retry_after_seconds;
    (seconds > 0).then(|| Duration::from_secs(seconds.into()))
}

fn unbuilt(error: kube::core::request::Error) -> RequestError {
    RequestError::Client(kube::Error::BuildRequest(error))
}

/// Decodes the error of the API server, or takes the text of a proxy in front of it.
fn status(code: StatusCode, body: &[u8]) -> Status {
    let parsed = serde_json::from_slice::<Status>(body).ok().filter(|s| !s.message.is_empty());
    let text = || String::from_utf8_lossy(body).trim().chars().take(200).collect::<String>();
    parsed.unwrap_or_else(|| Status::failure(&text(), "")).with_code(code.as_u16())
}

/// Returns the pause that the header demands: a number of seconds, or a date, which is compared with the date of the
/// response, so that the clocks of both sides need not agree.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).map(str::trim);
    let demanded = text(header::RETRY_AFTER)?;
    if !demanded.is_empty() && demanded.bytes().all(|b| b.is_ascii_digit()) {
        // More seconds than any number holds are as good as all.
        return Some(Duration::from_secs(demanded.parse().unwrap_or(u64::MAX)));
    }
    let [until, sent] = [demanded, text(header::DATE)?].map(httpdate::parse_http_date);
    until.ok()?.duration_since(sent.ok()?).ok()
}
