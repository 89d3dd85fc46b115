//! The paths of the admin server.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{
        HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS},
    },
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::time::Instant;

use super::{
    events::{self, StreamLimit},
    page::Page,
};
use crate::{
    observe::{insight::Insight, metrics::Metrics},
    process::logging::DroppedLines,
};

/// The sources of all responses.
#[derive(Clone)]
struct Sources {
    insight: Insight,
    metrics: Arc<Metrics>,
    page: Arc<Page>,
    streams: StreamLimit,
}

/// Creates the router of all paths. It allows only `GET` and `HEAD`.
pub(super) fn router(insight: Insight, dropped_lines: DroppedLines) -> Router {
    let metrics = Arc::new(Metrics::new(insight.clone(), dropped_lines));
    let sources = Sources { insight, metrics, page: Arc::new(Page::new()), streams: StreamLimit::default() };
    Router::new()
        .route("/", get(page))
        .route("/events", get(stream))
        .route("/status", get(status))
        .route("/metrics", get(metrics_text))
        .route("/livez", get(livez))
        .route("/healthz", get(livez))
        .route("/startupz", get(startupz))
        .route("/readyz", get(readyz))
        .layer(middleware::from_fn(headers))
        .with_state(sources)
}

async fn page(State(sources): State<Sources>) -> Response {
    sources.page.response()
}

async fn stream(State(sources): State<Sources>) -> Response {
    events::respond(&sources.insight, &sources.streams)
}

async fn status(State(sources): State<Sources>) -> Response {
    let status = sources.insight.read(|facts| facts.status(usize::MAX, Instant::now()));
    Json(status).into_response()
}

async fn metrics_text(State(sources): State<Sources>) -> Response {
    match sources.metrics.text() {
        Ok(text) => ([(CONTENT_TYPE, Metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Answers whether the loop runs. If not, a restart helps.
async fn livez(State(sources): State<Sources>) -> Response {
    let alive = sources.insight.read(|facts| facts.is_alive(Instant::now()));
    let hangs = (!alive).then(|| "the controller's loop hangs".to_owned());
    probe(hangs.as_slice())
}

/// Answers whether the backends are known, or have been waited for long enough. It does not depend on Traefik, which may be
/// started after ilb.
async fn startupz(State(sources): State<Sources>) -> Response {
    probe(&sources.insight.read(|facts| facts.not_started(Instant::now())))
}

/// Answers whether the configuration of any pool is proved to be in force.
async fn readyz(State(sources): State<Sources>) -> Response {
    probe(&sources.insight.read(|facts| facts.not_ready(Instant::now())))
}

/// Answers a probe with `ok`, or with the problems, one per line.
fn probe(problems: &[String]) -> Response {
    match problems {
        [] => "ok\n".into_response(),
        problems => (StatusCode::SERVICE_UNAVAILABLE, problems.join("\n") + "\n").into_response(),
    }
}

async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests;
