//! The answer to the question who is connected to whom.

use std::sync::Arc;

use axum::{
    Extension, Router,
    body::Bytes,
    extract::State,
    http::{StatusCode, Uri, header::CONTENT_TYPE},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};

use super::{
    host::AllowedHosts,
    places::Place,
    routes::{check_host, headers},
    sending::{Sender, Sending},
};
use crate::observe::connections::{ConnectionTable, Failure, Query};

/// The connections, and the answers that are on their way.
#[derive(Clone)]
struct Answers {
    table: ConnectionTable,
    sending: Sending,
}

/// Creates the router of the connections. It allows only requests that name one of `hosts`.
pub(super) fn routes(table: ConnectionTable, hosts: AllowedHosts) -> Router {
    Router::new()
        .route("/connections", get(connections))
        .layer(middleware::from_fn_with_state(hosts, check_host))
        .layer(middleware::from_fn(headers))
        .with_state(Answers { table, sending: Sending::default() })
}

async fn connections(
    State(Answers { table, sending }): State<Answers>,
    place: Option<Extension<Arc<Place>>>,
    uri: Uri,
) -> Response {
    let query = match Query::from_text(uri.query()) {
        Ok(query) => query,
        Err(problem) => return (StatusCode::BAD_REQUEST, problem + "\n").into_response(),
    };
    let page = match table.page(&query).await {
        Ok(page) => page,
        Err(failure) => return refusal(failure),
    };
    match serde_json::to_vec(&page) {
        Ok(page) => {
            let sender = Sender::new(sending, place.map(|Extension(place)| place));
            ([(CONTENT_TYPE, "application/json")], sender.send(Bytes::from(page)).await).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn refusal(failure: Failure) -> Response {
    let (status, reason) = match failure {
        Failure::NotYet => (StatusCode::SERVICE_UNAVAILABLE, "ilb has just started: try again".to_owned()),
        Failure::Hidden(reason) => (StatusCode::NOT_IMPLEMENTED, reason),
        Failure::Unreadable(reason) => (StatusCode::INTERNAL_SERVER_ERROR, reason),
    };
    (status, reason + "\n").into_response()
}

#[cfg(test)]
mod tests {
    use axum::{
        body::Body,
        extract::Request,
        http::{Method, header::HOST},
    };
    use tower::ServiceExt;

    use super::*;
    use crate::observe::insight::Insight;

    async fn ask(table: &ConnectionTable, method: Method, path: &str, host: &str) -> (StatusCode, String) {
        let router = routes(table.clone(), AllowedHosts::detect(&[]));
        let request = Request::builder().method(method).uri(path).header(HOST, host).body(Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_question_that_cannot_be_answered_gets_the_reason() {
        let table = ConnectionTable::new(Insight::new());
        let host = "10.0.0.7:8081";
        let (status, text) = ask(&table, Method::GET, "/connections", host).await;
        assert_eq!((status.as_u16(), text.as_str()), (503, "ilb has just started: try again\n"));
        table.set_source(Err("there are several Traefiks".to_owned()));
        let (status, text) = ask(&table, Method::GET, "/connections", host).await;
        assert_eq!((status.as_u16(), text.as_str()), (501, "there are several Traefiks\n"));
        let (status, text) = ask(&table, Method::GET, "/connections?sort=size", host).await;
        assert!(status == StatusCode::BAD_REQUEST && text.contains("is none of age, bytes"), "{text}");
        assert_eq!(ask(&table, Method::POST, "/connections", host).await.0, StatusCode::METHOD_NOT_ALLOWED);
        let (status, _) = ask(&table, Method::GET, "/connections", "evil.example.com").await;
        assert_eq!(status, StatusCode::MISDIRECTED_REQUEST, "a page of another origin gets nothing");
    }
}
