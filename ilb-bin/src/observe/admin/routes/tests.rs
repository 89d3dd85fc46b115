//! The responses of the admin server, without a socket.

use axum::{body::Body, http::Method};
use rstest::rstest;
use tower::ServiceExt;

use super::*;
use crate::observe::insight::tests::{Reporter, push, round_robin, set};

async fn ask(insight: &Insight, method: Method, path: &str) -> (StatusCode, axum::http::HeaderMap, String) {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    let response = router(insight.clone(), DroppedLines::default()).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

/// Creates the facts of a pool without backends: known or not, in force or not.
fn insight(known: bool, in_force: bool) -> Insight {
    let insight = Insight::new();
    let pool = Reporter::add(&insight, "default", "tcp", ilb_reconciler::Method::RoundRobin);
    let nothing = set(&[]);
    if known {
        pool.discovered(&nothing);
    }
    if in_force {
        push(&pool, &round_robin(&nothing), &nothing, "one");
    }
    insight
}

#[rstest]
#[case("/livez", false, false, 200)]
#[case("/healthz", false, false, 200)]
#[case("/startupz", false, false, 503)]
#[case("/startupz", true, false, 200)]
#[case("/readyz", true, false, 503)]
#[case("/readyz", true, true, 200)]
#[tokio::test]
async fn the_status_code_of_a_probe_is_its_answer(
    #[case] path: &str,
    #[case] known: bool,
    #[case] in_force: bool,
    #[case] status: u16,
) {
    let (answer, _, text) = ask(&insight(known, in_force), Method::GET, path).await;
    assert_eq!(answer.as_u16(), status, "{text}");
    assert_eq!(text == "ok\n", status == 200, "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_hangs_is_not_alive() {
    let insight = insight(true, true);
    tokio::time::advance(std::time::Duration::from_secs(20)).await;
    assert_eq!(ask(&insight, Method::GET, "/livez").await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ask(&insight, Method::GET, "/healthz").await.0, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn only_reading_is_allowed() {
    let insight = insight(true, true);
    for path in ["/", "/events", "/status", "/metrics", "/livez", "/healthz", "/startupz", "/readyz"] {
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            let (status, ..) = ask(&insight, method.clone(), path).await;
            assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_browser_neither_caches_a_response_nor_guesses_its_type() {
    let insight = insight(true, true);
    for path in ["/", "/status", "/metrics", "/readyz", "/nothing"] {
        let (_, headers, _) = ask(&insight, Method::GET, path).await;
        assert_eq!(headers[CACHE_CONTROL], "no-store", "{path}");
        assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
    }
    let (_, headers, _) = ask(&insight, Method::GET, "/metrics").await;
    assert_eq!(headers[CONTENT_TYPE], Metrics::CONTENT_TYPE);
}
