//! A scripted API server, for behaviour that a real one cannot be made to show, and for paused time.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use http::{Request, Response};
use http_body_util::channel::{Channel, Sender};
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tokio_util::bytes::Bytes;
use tower_test::mock::{self, SendResponse};
use tracing::{
    Level, Metadata, Subscriber,
    span::{Attributes, Id, Record},
};

use super::{decoded::Decoded, object::Object};

/// Hands the requests of a [`Client`] one by one to the test, which answers them.
pub(super) struct ScriptedServer(mock::Handle<Request<Body>, Response<Channel<Bytes, std::io::Error>>>);

impl ScriptedServer {
    pub(super) fn new() -> (Client, Self) {
        let (service, handle) = mock::pair();
        (Client::new(service, "default"), Self(handle))
    }

    pub(super) async fn next(&mut self) -> Exchange {
        let (request, answer) = self.0.next_request().await.expect("the client is alive");
        Exchange { request, answer }
    }

    /// Expects a list and answers it, then expects a watch and opens it.
    pub(super) async fn sync(&mut self, version: u64, pods: &[Value]) -> WatchBody {
        self.next().await.list(version, pods).await;
        self.next().await.watch()
    }
}

/// Request that waits for its response.
pub(super) struct Exchange {
    request: Request<Body>,
    answer: SendResponse<Response<Channel<Bytes, std::io::Error>>>,
}

impl Exchange {
    pub(super) fn path(&self) -> &str {
        self.request.uri().path()
    }

    /// Returns the value of a parameter, encoded as it is in the request.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let mut pairs = self.request.uri().query()?.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find_map(|(key, value)| (key == name).then_some(value))
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.request.headers().get(name).and_then(|value| value.to_str().ok())
    }

    pub(super) fn is_watch(&self) -> bool {
        self.parameter("watch") == Some("true")
    }

    pub(super) async fn list(self, version: u64, items: &[Value]) {
        self.page(version, "", items).await;
    }

    /// Answers with a page of a list whose next page has the token `next`.
    pub(super) async fn page(self, version: u64, next: &str, items: &[Value]) {
        assert!(!self.is_watch(), "a list is expected, not {}", self.request.uri());
        let meta = json!({"resourceVersion": version.to_string(), "continue": next});
        self.text(200, None, &json!({"metadata": meta, "items": items}).to_string()).await;
    }

    pub(super) fn watch(self) -> WatchBody {
        assert!(self.is_watch(), "a watch is expected, not {}", self.request.uri());
        let (body, channel) = Channel::new(64);
        self.answer.send_response(Response::new(channel));
        WatchBody(body)
    }

    pub(super) async fn refuse(self, code: u16, reason: &str, message: &str) {
        self.text(code, None, &refusal(code, reason, message).to_string()).await;
    }

    pub(super) async fn text(self, code: u16, retry_after: Option<u64>, body: &str) {
        let seconds = retry_after.map(|seconds| seconds.to_string());
        let headers: Vec<_> = seconds.iter().map(|seconds| ("retry-after", seconds.as_str())).collect();
        self.answer(code, &headers, body).await;
    }

    pub(super) async fn answer(self, code: u16, headers: &[(&str, &str)], body: &str) {
        let (mut sender, channel) = Channel::new(1);
        sender.send_data(Bytes::copy_from_slice(body.as_bytes())).await.expect("there is room");
        let mut response = Response::builder().status(code);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        self.answer.send_response(response.body(channel).unwrap());
    }
}

/// Body of an open watch.
pub(super) struct WatchBody(Sender<Bytes, std::io::Error>);

impl WatchBody {
    pub(super) async fn send(&mut self, kind: &str, object: &Value) {
        self.raw(&format!("{}\n", json!({"type": kind, "object": object}))).await;
    }

    pub(super) async fn bookmark(&mut self, version: u64) {
        let meta = json!({"resourceVersion": version.to_string()});
        self.send("BOOKMARK", &json!({"kind": "Pod", "apiVersion": "v1", "metadata": meta})).await;
    }

    pub(super) async fn raw(&mut self, text: &str) {
        self.0.send_data(Bytes::copy_from_slice(text.as_bytes())).await.expect("the client still reads");
    }

    /// Breaks the connection with the error that the operating system would return.
    pub(super) fn break_off(self, reason: std::io::ErrorKind) {
        self.0.abort(reason.into());
    }
}

/// Returns the body of a response that is received in `pieces`.
pub(super) async fn body_of(pieces: &[&str]) -> Body {
    let (mut sender, channel) = Channel::<Bytes, std::io::Error>::new(pieces.len().max(1));
    for piece in pieces {
        sender.send_data(Bytes::copy_from_slice(piece.as_bytes())).await.expect("there is room");
    }
    drop(sender);
    let mut channel = Some(channel);
    let answer = tower::service_fn(move |_: Request<Body>| {
        std::future::ready(Ok::<_, std::io::Error>(Response::new(channel.take().expect("one request"))))
    });
    let request = Request::new(Body::empty());
    Client::new(answer, "default").send(request).await.expect("an answer").into_body()
}

pub(super) fn refusal(code: u16, reason: &str, message: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message})
}

/// Makes a pod that runs and is ready, named after the last number of its address.
pub(super) fn pod(last: u8, version: u64) -> Value {
    json!({
        "metadata": {"name": format!("pod-{last}"), "uid": format!("uid-{last}"), "resourceVersion": version.to_string()},
        "spec": {"containers": [{"ports": [{"name": "db", "containerPort": 5432}]}]},
        "status": {
            "phase": "Running",
            "podIP": format!("10.0.0.{last}"),
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    })
}

/// Replaces the values at the pointers in `value`.
pub(super) fn with<const N: usize>(mut value: Value, changes: [(&str, Value); N]) -> Value {
    for (pointer, new) in changes {
        let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
        value.pointer_mut(parent).expect("the parent exists")[key] = new;
    }
    value
}

pub(super) fn not_ready(last: u8, version: u64) -> Value {
    with(pod(last, version), [("/status/conditions", json!([{"type": "Ready", "status": "False"}]))])
}

pub(super) fn deleting(last: u8, version: u64) -> Value {
    with(pod(last, version), [("/metadata/deletionTimestamp", "2026-01-01T00:00:00Z".into())])
}

pub(super) fn object<K: Object>(value: Value) -> K {
    serde_json::from_value(value).expect("all fields have the expected types")
}

pub(super) fn decoded<K: Object>(value: Value) -> Decoded<K> {
    object::<K>(value).into()
}

/// Runs `work`, and returns the number of warnings that it logs.
pub(super) fn warnings<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let counter = WarningCounter::default();
    let result = tracing::subscriber::with_default(counter.clone(), work);
    (result, counter.count())
}

/// Counts the warnings of a thread.
#[derive(Clone, Default)]
pub(super) struct WarningCounter(Arc<AtomicUsize>);

impl WarningCounter {
    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Subscriber for WarningCounter {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() == Level::WARN
    }

    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}
