//! Reads objects of the API server, of which commands need a few fields.

use anyhow::Context;
use axum::http::{Method, Request, header::CONTENT_TYPE};
use kube::Client;
use reqwest::Url;
use serde_json::Value;

/// Reason why an object could not be read.
#[derive(Debug)]
pub(crate) enum Unread {
    NotFound,
    /// The right is missing; the text is the API server's.
    Forbidden(String),
    Failed(anyhow::Error),
}

/// Number of objects in one page of a list.
const PAGE: &str = "500";

/// Reads an object by its path, such as `/api/v1/namespaces/apps`. Names in it must be [valid](is_name).
pub(crate) async fn get(client: &Client, path: &str) -> Result<Value, Unread> {
    request(client, Method::GET, path, Vec::new()).await
}

/// Reads a text, such as a log, by its path.
pub(crate) async fn get_text(client: &Client, path: &str) -> Result<String, Unread> {
    let request = Request::builder().uri(path).body(Vec::new());
    let request = request.context("cannot create a request").map_err(Unread::Failed)?;
    client.request_text(request).await.map_err(Unread::from_error)
}

/// Reads all objects of a list, those that match a label selector if one is given.
pub(crate) async fn list(client: &Client, path: &str, selector: Option<&str>) -> Result<Vec<Value>, Unread> {
    let (mut items, mut token) = (Vec::new(), String::new());
    loop {
        let mut query = vec![("limit", PAGE)];
        query.extend(selector.map(|selector| ("labelSelector", selector)));
        query.extend((!token.is_empty()).then_some(("continue", token.as_str())));
        let mut page = get(client, &with_query(path, &query)).await?;
        if let Some(Value::Array(more)) = page.get_mut("items").map(Value::take) {
            items.extend(more);
        }
        text(&page, "/metadata/continue").unwrap_or_default().clone_into(&mut token);
        if token.is_empty() {
            return Ok(items);
        }
    }
}

/// Sends an object to a path, such as one that asks for a review, and returns the answer.
pub(crate) async fn post(client: &Client, path: &str, object: &Value) -> Result<Value, Unread> {
    request(client, Method::POST, path, object.to_string().into_bytes()).await
}

/// Returns the text at a place of an object, such as `/metadata/name`.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    object.pointer(pointer).and_then(Value::as_str)
}

/// Returns whether a text can be the name of an object, and a part of a path therefore.
pub(crate) fn is_name(text: &str) -> bool {
    let is_of_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let has_ends = !text.starts_with(['-', '.']) && !text.ends_with(['-', '.']);
    (1..=253).contains(&text.len()) && has_ends && text.chars().all(is_of_name)
}

async fn request(client: &Client, method: Method, path: &str, body: Vec<u8>) -> Result<Value, Unread> {
    let request = Request::builder().method(method).uri(path).header(CONTENT_TYPE, "application/json").body(body);
    let request = request.context("cannot create a request").map_err(Unread::Failed)?;
    client.request::<Value>(request).await.map_err(Unread::from_error)
}

/// Returns a path with a query.
pub(crate) fn with_query(path: &str, query: &[(&str, &str)]) -> String {
    let Ok(mut url) = Url::parse("http://api").and_then(|base| base.join(path)) else { return path.to_owned() };
    url.query_pairs_mut().extend_pairs(query);
    format!("{path}?{}", url.query().unwrap_or_default())
}

impl Unread {
    fn from_error(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if status.is_not_found() => Self::NotFound,
            kube::Error::Api(status) if status.is_forbidden() => Self::Forbidden(status.message.clone()),
            error => Self::Failed(anyhow::Error::new(error)),
        }
    }

    /// Says why something could not be read, as the end of a sentence.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::NotFound => "it does not exist".to_owned(),
            Self::Forbidden(message) => message.clone(),
            Self::Failed(error) => format!("{error:#}"),
        }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! An API server that answers from a list.

    use std::sync::Arc;

    use axum::{
        body::Body,
        http::{Request, Response},
    };
    use kube::Client;
    use serde_json::{Value, json};

    /// Returns a client of an API server that has these answers, by method and path with query. The answer of a path that
    /// is not listed is 404. A number is an answer with that code.
    pub(crate) fn api_server(answers: &[(&str, Value)]) -> Client {
        let answers: Arc<[(String, Value)]> =
            answers.iter().map(|(path, answer)| ((*path).to_owned(), answer.clone())).collect();
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let path = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
            let asked = format!("{} {path}", request.method());
            let found = answers.iter().find(|(path, _)| *path == asked).map(|(_, answer)| answer.clone());
            let answer = found.unwrap_or_else(|| json!(404));
            let (code, body) = match answer.as_u64().and_then(|code| u16::try_from(code).ok()) {
                Some(code) => {
                    let reason = match code {
                        403 => "Forbidden",
                        404 => "NotFound",
                        _ => "InternalError",
                    };
                    let message = format!("{asked}: {reason}");
                    (
                        code,
                        json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}),
                    )
                }
                None => (200, answer),
            };
            let response = Response::builder().status(code).body(Body::from(body.to_string()));
            async move { response }
        });
        Client::new(service, "apps")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{testing::api_server, *};

    #[tokio::test]
    async fn a_list_is_read_to_its_last_page() {
        let pages = [
            (
                "GET /api/v1/pods?limit=500&labelSelector=app%3Da%2Cb",
                json!({"metadata": {"continue": "x/1"}, "items": [1, 2]}),
            ),
            ("GET /api/v1/pods?limit=500&labelSelector=app%3Da%2Cb&continue=x%2F1", json!({"items": [3]})),
        ];
        let items = list(&api_server(&pages), "/api/v1/pods", Some("app=a,b")).await.unwrap();
        assert_eq!(items, [1, 2, 3]);
    }

    #[tokio::test]
    async fn what_cannot_be_read_has_its_reason() {
        let client = api_server(&[("GET /a", json!(403)), ("GET /b", json!(500))]);
        let reasons = [get(&client, "/a").await, get(&client, "/b").await, get(&client, "/c").await];
        let reasons = reasons.map(|answer| answer.unwrap_err());
        assert!(matches!(&reasons[0], Unread::Forbidden(text) if text == "GET /a: Forbidden"), "{reasons:?}");
        assert!(matches!(&reasons[1], Unread::Failed(_)) && matches!(&reasons[2], Unread::NotFound), "{reasons:?}");
        assert_eq!(reasons[2].reason(), "it does not exist");
    }

    #[test]
    fn names_cannot_lead_elsewhere() {
        for name in ["a", "db-0.x", &"a".repeat(253)] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "../a", "a/b", "a?b", "A", "-a", "a.", &"a".repeat(254)] {
            assert!(!is_name(name), "{name}");
        }
    }
}
