//! One request to the API server: a page of a list, or a watch. Nothing is retried here, every wait ends, and no answer
//! takes more memory than it may.

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

/// How long a page of a list may take, from the request to its last byte.
const PAGE_LIMIT: Duration = Duration::from_secs(30);
/// How long the answer to a watch request may take. Its events come later.
const OPEN_LIMIT: Duration = Duration::from_secs(10);
/// How long a watch may be silent: it ends after [`Scope::WATCH_LIFE`] at the latest, if the other end is alive.
const SILENCE_LIMIT: Duration = Duration::from_secs(13);
/// How long an API server may make us wait before we ask again, whatever it says.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(30);

/// etcd refuses objects above 1.5 MB by default; as JSON with all its bookkeeping one can be some times larger.
const MOST_BYTES_PER_EVENT: usize = 16 << 20;
const MOST_BYTES_PER_PAGE: usize = 256 << 20;
const MOST_BYTES_PER_ERROR: usize = 64 << 10;

/// A part of a list.
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
    /// The page of the collection that `params` names, unless it is older than what the scope has seen.
    pub(super) async fn get(client: &Client, scope: &Scope, params: &ListParams) -> Result<Self, RequestError> {
        let request = Requests::new(&scope.path).list(params).map_err(unbuilt)?;
        let answer = async {
            let body = Limited::new(send(client, request).await?.into_body(), MOST_BYTES_PER_PAGE);
            let bytes = body.collect().await.map_err(RequestError::Body)?.to_bytes();
            serde_json::from_slice::<Self>(&bytes).map_err(RequestError::Decode)
        };
        let page = timeout(PAGE_LIMIT, answer).await.map_err(|_| RequestError::Silent(PAGE_LIMIT))??;
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

    /// What to ask for the next page with, if there is one.
    pub(super) fn next(&self) -> Option<String> {
        self.metadata.r#continue.clone().filter(|token| !token.is_empty())
    }

    pub(super) fn into_items(self) -> Vec<K> {
        self.items.unwrap_or_default()
    }
}

/// The events of a watch.
pub(super) struct Watch(BodyLines);

impl Watch {
    /// Watches from `version` on. Returns when the API server has agreed to it.
    pub(super) async fn open(client: &Client, scope: &Scope, version: &str) -> Result<Self, RequestError> {
        let mut request = Requests::new(&scope.path).watch(&scope.watch(), version).map_err(unbuilt)?;
        // Kubernetes 1.37 compresses each event by itself, which decompressing clients do not understand: kube-rs/kube#2079.
        request.headers_mut().insert(header::ACCEPT_ENCODING, header::HeaderValue::from_static("identity"));
        let answer = timeout(OPEN_LIMIT, send(client, request)).await;
        let answer = answer.map_err(|_| RequestError::Silent(OPEN_LIMIT))??;
        scope.contact.note();
        Ok(Self(BodyLines::new(answer.into_body(), MOST_BYTES_PER_EVENT)))
    }

    /// The next event, or `None` at the end of the watch.
    pub(super) async fn next<K>(&mut self, scope: &Scope) -> Result<Option<WatchEvent<K>>, RequestError>
    where
        K: DeserializeOwned,
    {
        let line = timeout(SILENCE_LIMIT, self.0.next()).await.map_err(|_| RequestError::Silent(SILENCE_LIMIT))?;
        let event = match line {
            Ok(line) => Some(serde_json::from_slice(&line).map_err(RequestError::Decode)?),
            Err(NoLine::End) => None,
            Err(no_line) => return Err(RequestError::Watch(no_line)),
        };
        scope.contact.note();
        Ok(event)
    }
}

/// Sends `request` and waits for the answer's head. An answer that is an error is read as such.
async fn send(client: &Client, request: Request<Vec<u8>>) -> Result<Response<Body>, RequestError> {
    let answer = client.send(request.map(Body::from)).await.map_err(RequestError::Client)?;
    if answer.status().is_success() {
        return Ok(answer);
    }
    let (code, retry_after) = (answer.status(), retry_after(answer.headers()));
    let body = Limited::new(answer.into_body(), MOST_BYTES_PER_ERROR).collect().await;
    // The status line already says that it failed: a body that breaks off takes nothing from that.
    let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    Err(RequestError::Refused { status: Box::new(status(code, &body)), retry_after })
}

fn unbuilt(error: kube::core::request::Error) -> RequestError {
    RequestError::Client(kube::Error::BuildRequest(error))
}

/// The API server's own word, or what some other program on the way said in its place.
fn status(code: StatusCode, body: &[u8]) -> Status {
    let parsed = serde_json::from_slice::<Status>(body).ok().filter(|s| !s.message.is_empty());
    let text = || String::from_utf8_lossy(body).trim().chars().take(200).collect::<String>();
    parsed.unwrap_or_else(|| Status::failure(&text(), "")).with_code(code.as_u16())
}

/// The header's number of seconds. The other form, a date, needs two clocks that agree: it counts as absent.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER))
}
