//! The important events of the log as Kubernetes Events about this pod, for `kubectl describe pod`.

use std::time::Duration;

use axum::http::{Method, Request, header::CONTENT_TYPE};
use kube::Client;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::insight::{EventKind, EventStatus, Insight, Severity};
use crate::settings::InstanceSettings;

/// Sends the important events about this pod, until the right to do so is missing.
pub(crate) struct KubernetesEvents {
    client: Client,
    pod: PodIdentity,
    insight: Insight,
    /// Number of the last event that was looked at.
    seen: u64,
    budget: Budget,
}

/// The pod that the events are about.
#[derive(Clone, Debug)]
struct PodIdentity {
    namespace: String,
    name: String,
    /// Identity by which `kubectl describe pod` finds the events.
    uid: Option<String>,
    node: Option<String>,
}

/// Limits the number of requests: events that come faster are only in the log of events.
#[derive(Debug)]
struct Budget {
    left: f64,
    at: Instant,
}

/// Result of a request.
#[derive(Debug, PartialEq, Eq)]
enum Sent {
    Done,
    /// The event was lost. The next one may not be.
    Failed,
    /// No event can be sent, for want of the right.
    Forbidden,
}

/// Maximum time for one request.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Pause after a request that failed.
const PAUSE: Duration = Duration::from_secs(10);

/// Maximum length of a message, in characters: the API server accepts 1024 bytes.
const MAX_MESSAGE_LENGTH: usize = 256;

impl KubernetesEvents {
    /// Prepares to send events about the pod that `instance` names; `None` if it names none.
    pub(crate) fn new(client: Client, instance: &InstanceSettings, insight: Insight) -> Option<Self> {
        let InstanceSettings { pod, namespace, uid, node, .. } = instance.clone();
        let pod = PodIdentity { namespace: namespace?, name: pod?, uid, node };
        Some(Self { client, pod, insight, seen: 0, budget: Budget { left: Budget::MAX, at: Instant::now() } })
    }

    /// Sends events until the right is missing.
    pub(crate) async fn run(mut self) {
        let mut changes = self.insight.subscribe();
        loop {
            for event in self.next_events() {
                match self.send(&event).await {
                    Sent::Done => {}
                    Sent::Failed => sleep(PAUSE).await,
                    Sent::Forbidden => {
                        let namespace = &self.pod.namespace;
                        tracing::warn!(
                            namespace,
                            "Kubernetes Events are not sent: the right to create events is missing"
                        );
                        return;
                    }
                }
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Returns the events to send that are new, oldest first.
    fn next_events(&mut self) -> Vec<EventStatus> {
        let now = Instant::now();
        let seen = self.seen;
        let (newest, events) = self.insight.read(|facts| {
            let new = facts.log.iter().take_while(|event| event.number > seen);
            let important = new.filter(|event| is_important(event.draft.kind, event.draft.severity, event.times));
            (facts.log.newest(), important.map(|event| event.status(now)).collect::<Vec<_>>())
        });
        self.seen = newest;
        let mut events: Vec<_> = events.into_iter().rev().collect();
        events.retain(|_| self.budget.take(now));
        events
    }

    async fn send(&self, event: &EventStatus) -> Sent {
        let path = format!("/api/v1/namespaces/{}/events", self.pod.namespace);
        let body = serde_json::to_vec(&self.pod.event(event)).unwrap_or_default();
        let request = Request::builder().method(Method::POST).uri(path).header(CONTENT_TYPE, "application/json");
        let Ok(request) = request.body(body) else { return Sent::Failed };
        match tokio::time::timeout(TIMEOUT, self.client.request_text(request)).await {
            Ok(Ok(_)) => Sent::Done,
            Ok(Err(kube::Error::Api(status))) if [401, 403, 404].contains(&status.code) => Sent::Forbidden,
            Ok(Err(error)) => {
                tracing::debug!(%error, "A Kubernetes Event was lost");
                Sent::Failed
            }
            Err(_) => Sent::Failed,
        }
    }
}

impl PodIdentity {
    fn event(&self, event: &EventStatus) -> Value {
        let Self { namespace, name, uid, node } = self;
        let about = event.pool.as_ref().map(|pool| format!("pool {pool}: ")).unwrap_or_default();
        let message: String = (about + &event.text).chars().take(MAX_MESSAGE_LENGTH).collect();
        // Kubernetes knows dates of whole seconds here.
        let time = event.time.split_once('.').map_or(event.time.clone(), |(seconds, _)| format!("{seconds}Z"));
        json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": format!("{name}."), "namespace": namespace},
            "involvedObject": {"apiVersion": "v1", "kind": "Pod", "namespace": namespace, "name": name, "uid": uid},
            "reason": reason(event.kind),
            "message": message,
            "type": if event.severity == Severity::Ok { "Normal" } else { "Warning" },
            "source": {"component": "ilb", "host": node},
            "firstTimestamp": time,
            "lastTimestamp": time,
            "count": 1,
            "reportingComponent": "ilb",
            "reportingInstance": name,
        })
    }
}

impl Budget {
    /// Number of events that may come at once.
    const MAX: f64 = 25.0;

    /// Number of events per second in the long run.
    const PER_SECOND: f64 = 0.1;

    fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        (self.left, self.at) = ((self.left + passed * Self::PER_SECOND).min(Self::MAX), now);
        let is_free = self.left >= 1.0;
        self.left -= if is_free { 1.0 } else { 0.0 };
        is_free
    }
}

/// Returns whether an event is worth one of Kubernetes: what pods do is one there already, and of repetitions each tenth,
/// hundredth and so on is.
fn is_important(kind: EventKind, severity: Severity, times: u64) -> bool {
    let is_of_pod = matches!(
        kind,
        EventKind::Came
            | EventKind::Left
            | EventKind::Ready
            | EventKind::NotReady
            | EventKind::Draining
            | EventKind::Unknown
    );
    let is_minor = kind == EventKind::Sibling && severity == Severity::Ok;
    !is_of_pod && !is_minor && 10_u64.pow(times.ilog10()) == times
}

/// Returns the reason of the Kubernetes Event: a word for programs.
fn reason(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Pool => "Pool",
        EventKind::Suspect => "BackendSuspect",
        EventKind::Failing => "BackendFailing",
        EventKind::Back => "BackendBack",
        EventKind::Refused => "BackendRefused",
        EventKind::Discovery => "Discovery",
        EventKind::Counting => "Counting",
        EventKind::Traefik => "Traefik",
        EventKind::Closing => "Closing",
        EventKind::Sibling => "Sibling",
        EventKind::Settings => "Settings",
        _ => "Backend",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::{Json, Router, http::StatusCode, routing::post};
    use ilb_discovery::State;
    use ilb_reconciler::decision::{Evidence, Standing};
    use tokio::time::advance;

    use super::*;
    use crate::observe::insight::tests::{address, insight, pods, set};

    /// Returns the events that an API server gets, and the sender to it. It answers with this status code.
    fn sender(insight: &Insight, code: StatusCode) -> (Arc<Mutex<Vec<Value>>>, KubernetesEvents) {
        let got = Arc::new(Mutex::new(Vec::new()));
        let events = Arc::clone(&got);
        let take = move |Json(event): Json<Value>| async move {
            events.lock().unwrap().push(event);
            (
                code,
                Json(
                    json!({"kind": "Status", "code": code.as_u16(), "status": "Failure", "reason": "", "message": ""}),
                ),
            )
        };
        let server = Router::new().route("/api/v1/namespaces/infra/events", post(take));
        let client = Client::new(server, "infra");
        let text = |text: &str| Some(text.to_owned());
        let instance =
            InstanceSettings { pod: text("lb-0"), namespace: text("infra"), uid: text("u"), ..Default::default() };
        (got, KubernetesEvents::new(client, &instance, insight.clone()).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn important_events_are_sent_about_the_pod_and_what_pods_do_is_not() {
        let (insight, pool) = insight();
        let (got, mut events) = sender(&insight, StatusCode::CREATED);
        pool.discovered(&pods(&["db-0"]));
        pool.standing_changed(address(1), Standing::Failing, Some(Evidence::ClosedProbe));
        pool.discovered(&set(&[]));
        for event in events.next_events() {
            assert_eq!(events.send(&event).await, Sent::Done);
        }
        let got = got.lock().unwrap();
        let seen: Vec<_> =
            got.iter().map(|event| (event["type"].as_str().unwrap(), event["message"].as_str().unwrap())).collect();
        let expected = [
            ("Normal", "pool default: Pool default is to be served at entry point tcp"),
            ("Warning", "pool default: db-0 is failing: closes connections at once"),
            ("Warning", "pool default: No backend is ready: new connections are closed at once until one is"),
        ];
        assert_eq!(seen, expected);
        let about = json!({"apiVersion": "v1", "kind": "Pod", "namespace": "infra", "name": "lb-0", "uid": "u"});
        assert_eq!((&got[0]["involvedObject"], got[1]["reason"].as_str()), (&about, Some("BackendFailing")));
        assert!(events.next_events().is_empty(), "each is sent once");
    }

    #[tokio::test(start_paused = true)]
    async fn without_the_right_it_ends() {
        let (insight, _pool) = insight();
        let (got, events) = sender(&insight, StatusCode::FORBIDDEN);
        events.run().await;
        assert_eq!(got.lock().unwrap().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn events_that_come_too_fast_are_not_sent() {
        let (insight, pool) = insight();
        let (_, mut events) = sender(&insight, StatusCode::CREATED);
        let mut sent = events.next_events().len();
        for _ in 0..3_600 {
            pool.standing_changed(address(1), Standing::Suspect, Some(Evidence::NoAnswer));
            pool.discovered(&set(&[State::Ready]));
            pool.discovered(&set(&[]));
            advance(Duration::from_secs(1)).await;
            sent += events.next_events().len();
        }
        assert!(sent <= 25 + 360, "{sent}");
    }
}
