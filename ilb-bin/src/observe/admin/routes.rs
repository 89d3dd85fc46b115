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
    events::{self, Followers},
    page::Page,
};
use crate::observe::{insight::Insight, metrics::Metrics};

/// What the answers are made of.
#[derive(Clone)]
struct Sources {
    insight: Insight,
    metrics: Arc<Metrics>,
    page: Arc<Page>,
    followers: Followers,
}

/// All paths. Only `GET` (and `HEAD`) is answered.
pub(super) fn router(insight: Insight) -> Router {
    let metrics = Arc::new(Metrics::of(insight.clone()));
    let sources = Sources { insight, metrics, page: Arc::new(Page::new()), followers: Followers::default() };
    Router::new()
        .route("/", get(page))
        .route("/events", get(follow))
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

async fn follow(State(sources): State<Sources>) -> Response {
    events::follow(&sources.insight, &sources.followers)
}

async fn status(State(sources): State<Sources>) -> Response {
    let status = sources.insight.look(|facts| facts.status(usize::MAX, Instant::now()));
    Json(status).into_response()
}

async fn metrics_text(State(sources): State<Sources>) -> Response {
    match sources.metrics.text() {
        Ok(text) => ([(CONTENT_TYPE, Metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Whether the process does its work; a restart would help if not.
async fn livez(State(sources): State<Sources>) -> Response {
    let alive = sources.insight.look(|facts| facts.is_alive(Instant::now()));
    let hangs = (!alive).then(|| "the controller's loop hangs".to_owned());
    answer(hangs.as_slice())
}

/// Whether the backends are known. It does not wait for Traefik, which may be started after this.
async fn startupz(State(sources): State<Sources>) -> Response {
    answer(&sources.insight.look(crate::observe::insight::Facts::not_started))
}

/// Whether the configuration is proved to be in force.
async fn readyz(State(sources): State<Sources>) -> Response {
    answer(&sources.insight.look(|facts| facts.not_ready(Instant::now())))
}

/// A probe's answer: what is wrong, a line each.
fn answer(problems: &[String]) -> Response {
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
