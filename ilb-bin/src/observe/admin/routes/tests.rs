//! The responses of the admin server, without a socket.

use axum::{
    body::Body,
    http::{Method, header::HOST},
};
use rstest::rstest;
use tower::ServiceExt;

use super::*;
use crate::observe::insight::tests::{Reporter, push, round_robin, set};

type Answer = (StatusCode, HeaderMap, String);

async fn ask(insight: &Insight, method: Method, path: &str) -> Answer {
    send(insight, Request::builder().method(method).uri(path)).await
}

async fn send(insight: &Insight, request: axum::http::request::Builder) -> Answer {
    let router = pages(insight, DroppedLines::default(), AllowedHosts::detect(&["ilb.example.com".to_owned()]));
    let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
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
    for path in
        ["/", "/stream", "/events", "/history", "/status", "/metrics", "/livez", "/healthz", "/startupz", "/readyz"]
    {
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
}

#[rstest]
#[case(None, "text/plain; version=0.0.4; charset=utf-8", "# TYPE ilb_pushes_total counter\n", "\n")]
#[case(Some("text/plain"), "text/plain; version=0.0.4; charset=utf-8", "# TYPE ilb_build_info gauge\n", "\n")]
#[case(
    Some("application/openmetrics-text;version=1.0.0,text/plain;q=0.5"),
    "application/openmetrics-text; version=1.0.0; charset=utf-8",
    "# TYPE ilb_pushes counter\n",
    "# EOF\n"
)]
#[tokio::test]
async fn metrics_are_in_the_format_that_was_asked_for(
    #[case] accept: Option<&str>,
    #[case] content_type: &str,
    #[case] line: &str,
    #[case] end: &str,
) {
    let mut request = Request::builder().uri("/metrics");
    if let Some(accept) = accept {
        request = request.header(ACCEPT, accept);
    }
    let (_, headers, text) = send(&insight(true, true), request).await;
    assert_eq!(headers[CONTENT_TYPE], content_type);
    assert!(text.contains(line) && text.ends_with(end), "{text}");
    assert_eq!(text.contains("# EOF"), end != "\n", "{text}");
}

#[rstest]
#[case("evil.example:8081", false)]
#[case("10.0.0.7:8081", true)]
#[case("localhost:8081", true)]
#[case("my-lb-metrics.apps.svc:8081", true)]
#[case("ilb.example.com", true)]
#[tokio::test]
async fn another_name_gets_nothing_but_probes(#[case] host: &str, #[case] is_own: bool) {
    let insight = insight(true, true);
    for path in ["/", "/stream", "/events", "/history", "/status", "/metrics"] {
        let request = Request::builder().method(Method::HEAD).uri(path).header(HOST, host);
        let expected = if is_own { StatusCode::OK } else { StatusCode::MISDIRECTED_REQUEST };
        assert_eq!(send(&insight, request).await.0, expected, "{path}");
    }
    for path in [LIVEZ, HEALTHZ, STARTUPZ, READYZ] {
        let request = Request::builder().uri(path).header(HOST, host);
        assert_eq!(send(&insight, request).await.0, StatusCode::OK, "{path}");
    }
    let request = Request::builder().uri("/status").header(HOST, host);
    let (_, _, text) = send(&insight, request).await;
    assert_eq!(text.contains("ILB_ADMIN_HOSTS") && text.contains(host), !is_own, "{text}");
}

#[tokio::test]
async fn a_stream_is_one_of_events() {
    use futures_util::StreamExt;

    let router = pages(&insight(true, true), DroppedLines::default(), AllowedHosts::detect(&[]));
    let request = Request::builder().uri("/stream").body(Body::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    assert_eq!(response.headers()[CONTENT_TYPE], "text/event-stream");
    let mut events = response.into_body().into_data_stream();
    for _ in 0..2 {
        let event = events.next().await.unwrap().unwrap();
        let json = event.strip_prefix(b"data: ").and_then(|rest| rest.strip_suffix(b"\n\n")).unwrap();
        let status: serde_json::Value = serde_json::from_slice(json).unwrap();
        assert_eq!(status["ready"], true);
    }
}

#[tokio::test]
async fn the_events_have_times_by_the_clock() {
    let insight = insight(true, true);
    let (status, headers, text) = ask(&insight, Method::GET, "/events").await;
    assert_eq!((status, &headers[CONTENT_TYPE]), (StatusCode::OK, &HeaderValue::from_static("application/json")));
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    let oldest = document["events"].as_array().unwrap().last().unwrap();
    assert_eq!(oldest["text"], "Pool default is to be served at entry point tcp");
    let time = oldest["time"].as_str().unwrap();
    assert!(time.starts_with("20") && time.contains('T') && time.ends_with('Z'), "{time}");
}

#[rstest]
#[case("/history", 200, r#""step_seconds":5"#)]
#[case("/history?pool=default&span=day", 200, r#""step_seconds":600"#)]
#[case("/history?pool=other", 404, "no such pool")]
#[case("/history?span=week", 400, "week")]
#[case("/history?pools=default", 400, "pools")]
#[tokio::test]
async fn a_history_is_of_a_pool_and_of_a_span(#[case] path: &str, #[case] status: u16, #[case] part: &str) {
    let (answer, _, text) = ask(&insight(true, true), Method::GET, path).await;
    assert_eq!(answer.as_u16(), status, "{text}");
    assert!(text.contains(part), "{text}");
}
