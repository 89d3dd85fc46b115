//! The answer to the siblings: what this replica has counted.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    Extension, Router,
    body::Bytes,
    extract::{RawQuery, State},
    http::{StatusCode, header::CONTENT_TYPE},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use ilb_siblings::{OwnReports, PATH, Question};
use tokio::{sync::watch, time};

use super::{
    host::AllowedHosts,
    places::{Doing, Place},
    routes::{check_host, headers},
    sending::{Sender, Sending},
};

/// The answers, of which all readers share what costs.
#[derive(Clone)]
struct Answers(Arc<Shared>);

struct Shared {
    reports: watch::Receiver<OwnReports>,
    /// The end of the last answer, with the number of the sample that it is of, and the question.
    tail: Mutex<Option<(u64, Question, Arc<str>)>>,
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

async fn siblings(
    State(Answers(shared)): State<Answers>,
    RawQuery(query): RawQuery,
    place: Option<Extension<Arc<Place>>>,
) -> Response {
    let place = place.map(|Extension(place)| place);
    let question = Question::parse(&query.unwrap_or_default());
    let held = shared.wait_for_news(&question, place.as_deref()).await;
    match shared.answer(&question, held, Instant::now()) {
        Ok(answer) => {
            let sender = Sender::new(shared.sending.clone(), place);
            ([(CONTENT_TYPE, "application/json")], sender.send(Bytes::from(answer)).await).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

impl Shared {
    /// Waits until there is something to answer, for the time of the question at most, and returns how long it was.
    async fn wait_for_news(&self, question: &Question, place: Option<&Place>) -> Duration {
        let (begun, mut reports) = (time::Instant::now(), self.reports.clone());
        if reports.borrow().has_news_for(question) {
            return Duration::ZERO;
        }
        // Meanwhile it is as idle as a connection between two questions, which makes room for others.
        place.inspect(|place| place.does(Doing::Waiting));
        let news = reports.wait_for(|reports| reports.has_news_for(question));
        // Without news, the answer says how old the known counts are. So it does at the end of the exchange.
        let _ = time::timeout(question.wait, news).await;
        place.inspect(|place| place.does(Doing::Serving));
        begun.elapsed()
    }

    /// Returns the answer at `now`, after it was `held` for that time.
    fn answer(&self, question: &Question, held: Duration, now: Instant) -> Result<String, serde_json::Error> {
        // A copy, so that the loop never waits for the text to be written.
        let reports = self.reports.borrow().clone();
        let tail = self.tail(&reports, question)?;
        Ok(reports.answer(&tail, held, now))
    }

    /// Returns the end of the answer. Most siblings ask the same, since all are answered when there is a new sample.
    fn tail(&self, reports: &OwnReports, question: &Question) -> Result<Arc<str>, serde_json::Error> {
        let mut kept = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((sample, kept_for, tail)) = &*kept
            && (*sample, kept_for.known) == (reports.sample(), question.known)
        {
            return Ok(Arc::clone(tail));
        }
        let tail: Arc<str> = reports.tail(question)?.into();
        *kept = Some((reports.sample(), *question, Arc::clone(&tail)));
        Ok(tail)
    }
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, extract::Request, http::header::HOST};
    use ilb_reconciler::siblings::{ReplicaId, Report};
    use ilb_siblings::{Answer, MAX_WAIT};
    use tokio::sync::mpsc;
    use tower::ServiceExt;

    use super::{
        super::places::{Limits, Places},
        *,
    };

    const REPLICA: ReplicaId = ReplicaId::new(7);

    async fn ask(router: &Router, host: &str) -> (StatusCode, Vec<u8>) {
        ask_this(router, host, &Question::for_everything()).await
    }

    async fn ask_this(router: &Router, host: &str, question: &Question) -> (StatusCode, Vec<u8>) {
        let request = Request::get(question.to_string()).header(HOST, host).body(Body::empty()).unwrap();
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

    /// Asks for what has changed since `known`, and returns the answer with the time until it came.
    async fn ask_after(router: &Router, known: &Answer) -> (Answer, Duration) {
        let begun = time::Instant::now();
        let (status, body) = ask_this(router, "10.0.0.7:8081", &known.next_question()).await;
        assert_eq!(status, StatusCode::OK);
        (Answer::parse_after(&body, Some(known)).unwrap(), begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn who_knows_the_last_sample_is_answered_at_the_next_one_or_after_a_while() {
        const MS: Duration = Duration::from_millis(1);
        let (sender, receiver) = watch::channel(OwnReports::new(REPLICA, Instant::now()));
        let router = routes(receiver, AllowedHosts::detect(&[]));
        let count = |sample, connections: u32| {
            let connections = [(([10, 0, 0, 1], 5432).into(), connections), (([10, 0, 0, 2], 5432).into(), 5)];
            let report = Report::new(REPLICA, sample, Duration::ZERO, 9, connections);
            sender.send_modify(|reports| assert!(reports.set("default", Some(report), Instant::now())));
        };
        count(1, 1);
        let known = Answer::parse(&ask(&router, "10.0.0.7:8081").await.1).unwrap();
        let (unchanged, after) = ask_after(&router, &known).await;
        assert_eq!((unchanged.sample, after), (known.sample, MAX_WAIT));
        assert_eq!(unchanged.held, MAX_WAIT);
        let counts_later = async {
            time::sleep(300 * MS).await;
            count(2, 2);
        };
        // All that wait are answered.
        let [first, second] = [(); 2].map(|()| ask_after(&router, &known));
        let (first, second, ()) = tokio::join!(first, second, counts_later);
        for (answer, after) in [first, second] {
            assert_eq!((answer.pools["default"].sample, answer.held, after), (2, 300 * MS, 300 * MS));
            assert_eq!(answer.pools["default"].connections.values().copied().collect::<Vec<_>>(), [2, 5]);
        }
        // Who knows an older one is not kept waiting.
        assert_eq!(ask_after(&router, &known).await.1, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_that_waits_makes_room_for_other_connections() {
        let (_sender, receiver) = watch::channel(OwnReports::new(REPLICA, Instant::now()));
        let shared = Shared { reports: receiver, tail: Mutex::default(), sending: Sending::default() };
        let (places, question) = (Places::new(Limits { total: 2, per_peer: 2 }), Question::for_changes(REPLICA, 0));
        let shared = Arc::new(shared);
        let (done, mut waited) = mpsc::unbounded_channel();
        let serve = |waits: bool| {
            let (shared, done) = (Arc::clone(&shared), done.clone());
            places.spawn([10, 0, 0, 1].into(), Doing::Serving, move |place| async move {
                if waits {
                    shared.wait_for_news(&question, Some(&place)).await;
                    let _ = done.send(());
                }
                std::future::pending::<()>().await;
            });
        };
        serve(true);
        tokio::task::yield_now().await;
        for _ in 0..2 {
            // One of them takes the place of the one that waits.
            serve(false);
        }
        let ended = time::timeout(2 * MAX_WAIT, waited.recv()).await;
        assert!(ended.is_err(), "the connection was not closed");
    }

    #[tokio::test]
    async fn a_page_of_another_origin_gets_nothing() {
        let (_sender, receiver) = watch::channel(OwnReports::new(REPLICA, Instant::now()));
        let router = routes(receiver, AllowedHosts::detect(&[]));
        assert_eq!(ask(&router, "evil.example.com").await.0, StatusCode::MISDIRECTED_REQUEST);
    }
}
