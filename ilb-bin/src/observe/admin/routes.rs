//! The paths of the admin server.

use std::sync::Arc;

use axum::{
    Extension, Router,
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, StatusCode, Uri,
        header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS},
    },
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::time::Instant;

use super::{
    document::Document,
    first_line::{HEALTHZ, LIVEZ, READYZ, STARTUPZ},
    histories::{Histories, Question},
    host::{AllowedHosts, name_to_allow},
    page::Page,
    places::Place,
    sending::{Sender, Sending},
    stream::Streams,
};
use crate::{
    observe::{
        insight::Insight,
        metrics::{Format, Metrics},
    },
    process::logging::DroppedLines,
};

/// The sources of the responses that take more than a look at the facts.
#[derive(Clone)]
struct Sources(Arc<Pages>);

struct Pages {
    page: Page,
    streams: Streams,
    status: Document,
    events: Document,
    histories: Histories,
    metrics: Document,
    open_metrics: Document,
    sending: Sending,
}

/// Place of the connection that a request came on.
type OnPlace = Option<Extension<Arc<Place>>>;

/// Maximum length of a host that is repeated in a response, in characters.
const MAX_SHOWN_HOST_LENGTH: usize = 100;

/// Creates the router of all paths, probes included. It allows only `GET` and `HEAD`, and requests that name one of `hosts`.
pub(super) fn pages(insight: &Insight, dropped_lines: DroppedLines, hosts: AllowedHosts) -> Router {
    let sources = Sources(Arc::new(Pages::new(insight, dropped_lines)));
    Router::new()
        .route("/", get(page))
        .route("/stream", get(stream))
        .route("/events", get(events))
        .route("/history", get(history))
        .route("/status", get(status))
        .route("/metrics", get(metrics))
        .layer(middleware::from_fn_with_state(hosts, check_host))
        .layer(middleware::from_fn(headers))
        .with_state(sources)
        .merge(probes(insight))
}

/// Creates the router of the probes, which anybody may ask.
pub(super) fn probes(insight: &Insight) -> Router {
    Router::new()
        .route(LIVEZ, get(livez))
        .route(HEALTHZ, get(livez))
        .route(STARTUPZ, get(startupz))
        .route(READYZ, get(readyz))
        .fallback(async || StatusCode::NOT_FOUND)
        .layer(middleware::from_fn(headers))
        .with_state(insight.clone())
}

impl Pages {
    fn new(insight: &Insight, dropped_lines: DroppedLines) -> Self {
        let metrics = Arc::new(Metrics::new(insight.clone(), dropped_lines));
        let metrics = |format: Format| {
            let metrics = Arc::clone(&metrics);
            Document::new(insight.subscribe(), move || metrics.text(format).map_err(|error| error.to_string()))
        };
        let facts = insight.clone();
        let status = move || {
            let status = facts.snapshot().status(usize::MAX, Instant::now());
            serde_json::to_string(&status).map_err(|error| error.to_string())
        };
        let facts = insight.clone();
        let events =
            move || serde_json::to_string(&facts.snapshot().events(Instant::now())).map_err(|error| error.to_string());
        Self {
            page: Page::new(),
            streams: Streams::new(insight.clone()),
            status: Document::new(insight.subscribe(), status),
            events: Document::new(insight.subscribe(), events),
            histories: Histories::new(insight.clone()),
            metrics: metrics(Format::Text),
            open_metrics: metrics(Format::OpenMetrics),
            sending: Sending::default(),
        }
    }

    /// Responds with a document, which is only copied if the connection needs that.
    async fn respond(&self, document: &Document, content_type: &'static str, place: OnPlace) -> Response {
        match document.get().await {
            Ok(document) => ([(CONTENT_TYPE, content_type)], self.sender(place).send(document).await).into_response(),
            Err(reason) => (StatusCode::INTERNAL_SERVER_ERROR, reason).into_response(),
        }
    }

    fn sender(&self, place: OnPlace) -> Sender {
        Sender::new(self.sending.clone(), place.map(|Extension(place)| place))
    }
}

async fn page(State(Sources(pages)): State<Sources>) -> Response {
    pages.page.response()
}

async fn stream(State(Sources(pages)): State<Sources>, place: OnPlace) -> Response {
    let busy = || (StatusCode::SERVICE_UNAVAILABLE, "too many status pages are open: close one\n").into_response();
    pages.streams.stream(pages.sender(place)).unwrap_or_else(busy)
}

async fn status(State(Sources(pages)): State<Sources>, place: OnPlace) -> Response {
    pages.respond(&pages.status, "application/json", place).await
}

async fn events(State(Sources(pages)): State<Sources>, place: OnPlace) -> Response {
    pages.respond(&pages.events, "application/json", place).await
}

async fn history(State(Sources(pages)): State<Sources>, place: OnPlace, uri: Uri) -> Response {
    let question = match Question::from_query(uri.query()) {
        Ok(question) => question,
        Err(problem) => return (StatusCode::BAD_REQUEST, problem + "\n").into_response(),
    };
    match pages.histories.get(question) {
        Some(document) => pages.respond(&document, "application/json", place).await,
        None => (StatusCode::NOT_FOUND, "there is no such pool\n").into_response(),
    }
}

async fn metrics(State(Sources(pages)): State<Sources>, place: OnPlace, headers: HeaderMap) -> Response {
    let format = Format::accepted(headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()));
    let document = match format {
        Format::Text => &pages.metrics,
        Format::OpenMetrics => &pages.open_metrics,
    };
    pages.respond(document, format.content_type(), place).await
}

/// Answers whether the loop runs. If not, a restart helps.
async fn livez(State(insight): State<Insight>) -> Response {
    let alive = insight.read(|facts| facts.is_alive(Instant::now()));
    let hangs = (!alive).then(|| "the controller's loop hangs".to_owned());
    probe(hangs.as_slice())
}

/// Answers whether the backends are known, or have been waited for long enough. It does not depend on Traefik, which may be
/// started after ilb.
async fn startupz(State(insight): State<Insight>) -> Response {
    probe(&insight.read(|facts| facts.not_started(Instant::now())))
}

/// Answers whether the configuration of any pool is proved to be in force.
async fn readyz(State(insight): State<Insight>) -> Response {
    probe(&insight.read(|facts| facts.not_ready(Instant::now())))
}

/// Answers a probe with `ok`, or with the problems, one per line.
fn probe(problems: &[String]) -> Response {
    match problems {
        [] => "ok\n".into_response(),
        problems => (StatusCode::SERVICE_UNAVAILABLE, problems.join("\n") + "\n").into_response(),
    }
}

pub(super) async fn check_host(State(hosts): State<AllowedHosts>, request: Request, next: Next) -> Response {
    match hosts.check(request.headers(), request.uri()) {
        Ok(()) => next.run(request).await,
        Err(host) => {
            let name = name_to_allow(&host).unwrap_or_else(|| "NAME".to_owned());
            let [host, name] = [host, name].map(|text| text.chars().take(MAX_SHOWN_HOST_LENGTH).collect::<String>());
            let text = format!(
                "{host:?} is not a name of this ilb: use its address, or allow the name by ILB_ADMIN_HOSTS={name} (admin.hosts)\n"
            );
            (StatusCode::MISDIRECTED_REQUEST, text).into_response()
        }
    }
}

pub(super) async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests;
