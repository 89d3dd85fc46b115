//! What the fuzz targets call: sources of backends, with answers that could come from anyone. The targets panic on a panic
//! in the source, and on a backend that a set must not have.

use std::{
    collections::VecDeque,
    future::pending,
    str::FromStr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::StreamExt;
use http::{Response, StatusCode};
use kube::{Client, client::Body};
use tokio::{runtime::Runtime, time::timeout};
use tower::{BoxError, service_fn};

use crate::{
    AddressPolicy, BackendPort, BackendSet, Discovery, EndpointSliceDiscovery, Families, FieldSelector, KubeOptions,
    PodDiscovery, Selector, Zone, file,
};

/// Time within which a source asks again and has a set, whatever an answer demanded, if all later answers are good.
const MAX_RECOVERY: Duration = Duration::from_secs(300);

const ONE_POD: &[u8] = br#"{"metadata":{"resourceVersion":"5"},"items":[{"metadata":{"name":"db-0","uid":"u0","resourceVersion":"4"},"spec":{"containers":[{"ports":[{"name":"sql","containerPort":5432}]}]},"status":{"phase":"Running","podIP":"10.0.0.1","conditions":[{"type":"Ready","status":"True"}]}}]}"#;

/// Lists pods; `data` is the body of the answer.
pub fn pods(data: &[u8]) {
    let answer = || [answer(StatusCode::OK, data)];
    list(|| selected(answer(), "5432", KubeOptions::default()));
    let options =
        KubeOptions::default().with_all_namespaces().with_families(Families::OnlyIpv6).with_draining_fallback();
    list(|| selected(answer(), "sql", options));
}

/// Lists EndpointSlices; `data` is the body of the answer.
pub fn slices(data: &[u8]) {
    let source = |port: &str, options| {
        let client = client([answer(StatusCode::OK, data)]);
        let port = port.parse::<BackendPort>().unwrap_or(BackendPort::Number(1));
        EndpointSliceDiscovery::try_from_service(client, "shop", "db", port).map(|source| source.with_options(options))
    };
    list(|| source("5432", KubeOptions::default()));
    list(|| source("sql", KubeOptions::default().with_families(Families::PreferIpv6).with_draining_fallback()));
}

/// Watches pods after a good list; `data` is the body of the watch. Panics unless the watch is resumed or begun again.
pub fn watch(data: &[u8]) {
    let requests = Arc::new(AtomicUsize::new(0));
    let answers = [answer(StatusCode::OK, ONE_POD), answer(StatusCode::OK, data)];
    runtime().block_on(async {
        let Ok(pods) = selected_by(counting_client(answers, &requests), "sql", KubeOptions::default()) else { return };
        let mut sets = pods.watch();
        let _ = timeout(MAX_RECOVERY, async {
            while let Some(set) = sets.next().await {
                check(&set.unwrap_or_default());
            }
        })
        .await;
        assert!(requests.load(Ordering::Relaxed) > 2, "no request within {MAX_RECOVERY:?}");
    });
}

/// Follows pods where the first answer is `data`: a line with the status, lines with headers, an empty line, the body.
/// Panics unless there is a set once the API server answers well.
pub fn refusals(data: &[u8]) {
    let Some(first) = response(data) else { return };
    runtime().block_on(async {
        let Ok(pods) = selected([first], "5432", KubeOptions::default()) else { return };
        let mut sets = pods.watch();
        let recovered = timeout(MAX_RECOVERY, async {
            while let Some(set) = sets.next().await {
                match set {
                    Ok(set) => return check(&set),
                    Err(error) => drop(error.with_causes().to_string()),
                }
            }
        });
        assert!(recovered.await.is_ok(), "no set within {MAX_RECOVERY:?}");
    });
}

/// Parses a file of backends.
pub fn backends_file(data: &[u8]) {
    if let Ok(set) = file::parse(&String::from_utf8_lossy(data)) {
        check(&set);
    }
}

/// Parses selectors, ports and zones, whose canonical form must mean the same.
pub fn selectors(data: &[u8]) {
    fn check<T: FromStr<Err: PartialEq + std::fmt::Debug> + ToString + PartialEq + std::fmt::Debug>(text: &str) {
        if let Ok(value) = text.parse::<T>() {
            assert_eq!(value.to_string().parse().as_ref(), Ok(&value));
        }
    }
    let text = String::from_utf8_lossy(data);
    check::<Selector>(&text);
    check::<FieldSelector>(&text);
    check::<BackendPort>(&text);
    check::<Zone>(&text);
}

fn list<D: Discovery, E>(source: impl FnOnce() -> Result<D, E>) {
    runtime().block_on(async {
        if let Ok(source) = source()
            && let Ok(set) = source.list().await
        {
            check(&set);
        }
    });
}

fn check(set: &BackendSet) {
    for backend in set.iter() {
        assert_eq!(AddressPolicy::default().check(backend.address()), Ok(()));
    }
}

fn selected<const N: usize>(
    answers: [Response<Body>; N],
    port: &str,
    options: KubeOptions,
) -> Result<PodDiscovery, Box<dyn std::error::Error>> {
    selected_by(client(answers), port, options)
}

fn selected_by(client: Client, port: &str, options: KubeOptions) -> Result<PodDiscovery, Box<dyn std::error::Error>> {
    Ok(PodDiscovery::new(client, "shop", "app=db".parse()?, port.parse::<BackendPort>()?).with_options(options))
}

/// Returns a client of an API server that gives these answers, and then `ONE_POD` to each list and none to a watch.
fn client<const N: usize>(answers: [Response<Body>; N]) -> Client {
    counting_client(answers, &Arc::default())
}

fn counting_client<const N: usize>(answers: [Response<Body>; N], requests: &Arc<AtomicUsize>) -> Client {
    let (answers, requests) = (Mutex::new(VecDeque::from(answers)), Arc::clone(requests));
    let serve = move |request: http::Request<Body>| {
        requests.fetch_add(1, Ordering::Relaxed);
        let first = answers.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
        async move {
            match first {
                Some(answer) => Ok::<_, BoxError>(answer),
                None if is_watch => pending().await,
                None => Ok(answer(StatusCode::OK, ONE_POD)),
            }
        }
    };
    Client::new(service_fn(serve), "shop")
}

fn answer(status: StatusCode, body: &[u8]) -> Response<Body> {
    let mut answer = Response::new(Body::from(body.to_vec()));
    *answer.status_mut() = status;
    answer
}

fn response(data: &[u8]) -> Option<Response<Body>> {
    let at = data.windows(2).position(|two| two == b"\n\n")?;
    let mut lines = data[..at].split(|byte| *byte == b'\n');
    let status = StatusCode::from_bytes(lines.next()?).ok()?;
    let mut response = answer(status, &data[at + 2..]);
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        response
            .headers_mut()
            .append(http::HeaderName::from_bytes(name).ok()?, http::HeaderValue::from_bytes(value).ok()?);
    }
    Some(response)
}

/// Returns a runtime whose clock jumps to the next timer while nothing else is to do.
fn runtime() -> Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    #[expect(clippy::expect_used, reason = "without a runtime nothing can be tested")]
    runtime.expect("a runtime")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("pods", pods)]
    #[case("slices", slices)]
    #[case("watch", watch)]
    #[case("refusals", refusals)]
    #[case("backends_file", backends_file)]
    #[case("selectors", selectors)]
    fn the_corpus_is_survived(#[case] name: &str, #[case] target: fn(&[u8])) {
        ilb_fuzz_replay::replay(name, target);
    }
}
