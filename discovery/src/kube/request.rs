//! One request to the API server: a page of a list, or a watch. Nothing is retried here, every wait has a timeout, and
//! every response a maximum length.

use std::time::Duration;

use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use kube::{
    Client,
    api::{ListParams, WatchEvent},
    client::Body,
    core::{Request as Requests, Status},
};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::time::{Instant, timeout};

use super::{
    body_lines::{BodyLines, NoLine},
    request_error::RequestError,
    scope::Scope,
};

/// Timeout of a page of a list, from the request to its last byte.
const PAGE_TIMEOUT: Duration = Duration::from_secs(30);
/// Timeout of the response to a watch request. Its events come later.
const WATCH_OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout of each event of a watch. If the other end is alive, the watch ends after [`Scope::WATCH_LIFETIME`] at the
/// latest.
const WATCH_SILENCE_TIMEOUT: Duration = Duration::from_secs(13);
/// Maximum pause that an API server can demand by the header `Retry-After`.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(30);

/// Maximum length of an event. By default etcd refuses objects above 1.5 MB; as JSON, one can be several times larger.
const MAX_EVENT_BYTES: usize = 16 << 20;
const MAX_PAGE_BYTES: usize = 256 << 20;
const MAX_ERROR_BYTES: usize = 64 << 10;

/// Part of a list.
#[derive(Deserialize)]
#[serde(bound = "K: DeserializeOwned")]
pub(super) struct Page<K> {
    #[serde(default)]
    metadata: PageMeta,
    #[serde(default)]
    items: Option<Vec<K>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PageMeta {
    resource_version: Option<String>,
    r#continue: Option<String>,
}

impl<K: DeserializeOwned> Page<K> {
    /// Requests the page that `params` name. Refuses one that is older than a state that the scope has seen.
    pub(super) async fn get(client: &Client, scope: &Scope, params: &ListParams) -> Result<Self, RequestError> {
        let request = Requests::new(&scope.path).list(params).map_err(unbuilt)?;
        let answer = async {
            let body = Limited::new(send(client, request).await?.into_body(), MAX_PAGE_BYTES);
            let bytes = body.collect().await.map_err(RequestError::Body)?.to_bytes();
            serde_json::from_slice::<Self>(&bytes).map_err(RequestError::Decode)
        };
        let page = timeout(PAGE_TIMEOUT, answer).await.map_err(|_| RequestError::Silent(PAGE_TIMEOUT))??;
        if page.version().is_empty() {
            return Err(RequestError::NoVersion);
        }
        scope.contact.note();
        scope.versions().admit(page.version(), Instant::now()).map_err(RequestError::Older)?;
        Ok(page)
    }

    pub(super) fn version(&self) -> &str {
        self.metadata.resource_version.as_deref().unwrap_or_default()
    }

    /// Returns the token of the next page, if there is one.
    pub(super) fn next(&self) -> Option<String> {
        self.metadata.r#continue.clone().filter(|token| !token.is_empty())
    }

    pub(super) fn into_items(self) -> Vec<K> {
        self.items.unwrap_or_default()
    }
}

/// Open watch.
pub(super) struct Watch(BodyLines);

impl Watch {
    /// Opens a watch from `version` on. Returns when the API server has accepted it.
    pub(super) async fn open(client: &Client, scope: &Scope, version: &str) -> Result<Self, RequestError> {
        let mut request = Requests::new(&scope.path).watch(&scope.watch(), version).map_err(unbuilt)?;
        // Kubernetes 1.37 compresses each event separately, which decompressing clients do not understand: kube-rs/kube#2079.
        request.headers_mut().insert(header::ACCEPT_ENCODING, header::HeaderValue::from_static("identity"));
        let answer = timeout(WATCH_OPEN_TIMEOUT, send(client, request)).await;
        let answer = answer.map_err(|_| RequestError::Silent(WATCH_OPEN_TIMEOUT))??;
        scope.contact.note();
        Ok(Self(BodyLines::new(answer.into_body(), MAX_EVENT_BYTES)))
    }

    /// Returns the next event, or `None` at the end of the watch.
    pub(super) async fn next<K>(&mut self, scope: &Scope) -> Result<Option<WatchEvent<K>>, RequestError>
    where
        K: DeserializeOwned,
    {
        let line = timeout(WATCH_SILENCE_TIMEOUT, self.0.next())
            .await
            .map_err(|_| RequestError::Silent(WATCH_SILENCE_TIMEOUT))?;
        let event = match line {
            Ok(line) => Some(serde_json::from_slice(&line).map_err(RequestError::Decode)?),
            Err(NoLine::End) => None,
            Err(no_line) => return Err(RequestError::Watch(no_line)),
        };
        scope.contact.note();
        Ok(event)
    }
}

/// Sends `request` and waits for the head of the response. A response with an error status is read and returned as an
/// error.
async fn send(client: &Client, request: Request<Vec<u8>>) -> Result<Response<Body>, RequestError> {
    let answer = client.send(request.map(Body::from)).await.map_err(RequestError::Client)?;
    if answer.status().is_success() {
        return Ok(answer);
    }
    let (code, retry_after) = (answer.status(), retry_after(answer.headers()));
    let body = Limited::new(answer.into_body(), MAX_ERROR_BYTES).collect().await;
    // The status alone is enough: a body that cannot be read changes nothing.
    let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    Err(RequestError::Refused { status: Box::new(status(code, &body)), retry_after })
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

/// Returns the number of seconds in the header. Its other form, a date, needs two clocks that agree: it counts as absent.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}
