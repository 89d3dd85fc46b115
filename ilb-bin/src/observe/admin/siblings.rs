//! The answer to the siblings: what this replica has counted.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use axum::{
    Extension, Router,
    body::Bytes,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use ilb_siblings::{OwnReports, PATH};
use tokio::sync::watch;

use super::{
    host::AllowedHosts,
    places::Place,
    routes::{check_host, headers},
    sending::{Sender, Sending},
};

/// The answers, of which all readers share what costs.
#[derive(Clone)]
struct Answers(Arc<Shared>);

struct Shared {
    reports: watch::Receiver<OwnReports>,
    /// The end of the answer, with the number of the sample that it is of.
    tail: Mutex<Option<(u64, Arc<str>)>>,
    sending: Sending,
}

/// Creates the router of the answers. It allows only requests that name one of `hosts`.
pub(super) fn routes(reports: watch::Receiver<OwnReports>, hosts: AllowedHosts) -> Router {
    let shared = Shared { reports, tail: Mutex::default(), sending: Sending::default() };
    Router::new()
        .route(PATH, get(siblings))
        .layer(middleware::from_fn_with_state(hosts, check_host))
        .layer(middleware::from_fn(headers))
        .with_state(Answers(Arc::new(shared)))
}

async fn siblings(State(Answers(shared)): State<Answers>, place: Option<Extension<Arc<Place>>>) -> Response {
    match shared.answer(Instant::now()) {
        Ok(answer) => {
            let sender = Sender::new(shared.sending.clone(), place.map(|Extension(place)| place));
            ([(CONTENT_TYPE, "application/json")], sender.send(Bytes::from(answer)).await).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

impl Shared {
    /// Returns the answer at `now`.
    fn answer(&self, now: Instant) -> Result<String, serde_json::Error> {
        // A copy, so that the loop never waits for the text to be written.
        let reports = self.reports.borrow().clone();
        let tail = self.tail(&reports)?;
        Ok(reports.answer(&tail, now))
    }

    /// Returns the end of the answer, which is written once for each sample that anybody asks for.
    fn tail(&self, reports: &OwnReports) -> Result<Arc<str>, serde_json::Error> {
        let mut kept = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, tail)) = kept.as_ref().filter(|(sample, _)| *sample == reports.sample()) {
            return Ok(Arc::clone(tail));
        }
        let tail: Arc<str> = reports.tail()?.into();
        *kept = Some((reports.sample(), Arc::clone(&tail)));
        Ok(tail)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::{body::Body, extract::Request, http::header::HOST};
    use ilb_reconciler::siblings::{ReplicaId, Report};
    use ilb_siblings::Answer;
    use tower::ServiceExt;

    use super::*;

    const REPLICA: ReplicaId = ReplicaId::new(7);

    async fn ask(router: &Router, host: &str) -> (StatusCode, Vec<u8>) {
        let request = Request::get(PATH).header(HOST, host).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        (status, axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec())
    }

    #[tokio::test]
    async fn a_sibling_gets_what_was_counted_last_with_its_age_at_the_moment_of_the_answer() {
        let begun = Instant::now();
        let (sender, receiver) = watch::channel(OwnReports::new(REPLICA, begun));
        let router = routes(receiver, AllowedHosts::detect(&[]));
        for sample in 1..=2_u64 {
            let connections = [(([10, 0, 0, 1], 5432).into(), u32::try_from(sample).unwrap())];
            let report = Report::new(REPLICA, sample, Duration::from_secs(2), 9, connections);
            sender.send_modify(|reports| assert!(reports.set("default", Some(report), Instant::now())));
            for _ in 0..2 {
                let (status, body) = ask(&router, "10.0.0.7:8081").await;
                assert_eq!(status, StatusCode::OK);
                let answer = Answer::parse(&body).unwrap();
                let report = &answer.pools["default"];
                assert_eq!((answer.replica, report.sample, report.opened), (REPLICA, sample, 9));
                assert_eq!(report.connections.values().copied().map(u64::from).sum::<u64>(), sample);
                let ages = Duration::from_secs(2)..=Duration::from_secs(2) + begun.elapsed();
                assert!(ages.contains(&report.age), "{:?}", report.age);
            }
        }
    }

    #[tokio::test]
    async fn a_page_of_another_origin_gets_nothing() {
        let (_sender, receiver) = watch::channel(OwnReports::new(REPLICA, Instant::now()));
        let router = routes(receiver, AllowedHosts::detect(&[]));
        assert_eq!(ask(&router, "evil.example.com").await.0, StatusCode::MISDIRECTED_REQUEST);
    }
}
