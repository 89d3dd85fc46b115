//! Promises of probing, on real connections.

use super::*;
use crate::{probe::ProbeError, procfs, socket::State};

#[rstest]
#[tokio::test]
async fn a_probe_in_progress_never_counts(
    #[values(Method::Netlink, Method::NetlinkAnnouncements, Method::Procfs)] method: Method,
) {
    let (backend, filling) = Backend::that_drops_packets().await;
    let connections = counting_by(method);
    let prober = connections.prober().with_timeout(LIMIT);
    let probe = tokio::spawn(async move { prober.probe(backend.address).await });
    while opening_in_procfs(backend.address) == 0 {
        tokio::task::yield_now().await;
    }
    for _ in 0..3 {
        assert_eq!(load(&connections, &backend).await.opening, 0);
    }
    assert!(!probe.is_finished());
    probe.abort();
    drop(filling);
}

#[tokio::test]
async fn a_probe_without_a_response_times_out() {
    let (backend, filling) = Backend::that_drops_packets().await;
    let prober = counting_by(Method::Netlink).prober().with_timeout(Duration::from_millis(50));
    let Err(ProbeError::Backend(error)) = prober.probe(backend.address).await else { panic!("it did not respond") };
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    drop(filling);
}

/// Counts the opening connections to `remote` of all processes, without any filter.
fn opening_in_procfs(remote: SocketAddr) -> usize {
    let mut opening = 0;
    procfs::visit(&query(remote), &mut |socket| {
        opening += usize::from(socket.state == State::Opening && socket.remote == remote);
    })
    .unwrap();
    opening
}

#[tokio::test]
async fn a_probe_tells_a_backend_that_accepts_from_one_that_refuses() {
    let backend = Backend::alone();
    let prober = counting_by(Method::Netlink).prober();
    assert!(prober.probe(backend.address).await.is_ok());
    let closed = backend.address;
    drop(backend);
    let Err(ProbeError::Backend(error)) = prober.probe(closed).await else { panic!("nothing listens there") };
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_probe_tells_a_backend_that_closes_at_once_from_one_that_greets_and_waits() {
    let backend = Backend::alone();
    let prober = counting_by(Method::Netlink).prober();
    let closes = async {
        drop(backend.listener.accept().await.unwrap());
    };
    let (result, ()) = tokio::join!(prober.probe(backend.address), closes);
    assert!(result.unwrap().closed_by_backend);
    let greets_and_closes = async {
        backend.listener.accept().await.unwrap().0.write_all(b"too many connections").await.unwrap();
    };
    let (result, ()) = tokio::join!(prober.reprobe(backend.address), greets_and_closes);
    assert!(result.unwrap().closed_by_backend);
    let waits = async {
        let (mut stream, _) = backend.listener.accept().await.unwrap();
        stream.write_all(b"welcome").await.unwrap();
        stream
    };
    let (result, _stream) = tokio::join!(prober.probe(backend.address), waits);
    assert!(!result.unwrap().closed_by_backend);
}

#[tokio::test]
async fn a_probe_waits_for_no_place_among_the_repeated_ones() {
    let (backend, filling) = Backend::that_drops_packets().await;
    let prober = counting_by(Method::Netlink).prober().with_timeout(Duration::from_secs(600));
    let reprobes: Vec<_> = (0..Prober::MAX_CONCURRENT_REPEATED_PROBES)
        .map(|_| {
            let prober = prober.clone();
            tokio::spawn(async move { prober.reprobe(backend.address).await })
        })
        .collect();
    while opening_in_procfs(backend.address) < reprobes.len() {
        tokio::task::yield_now().await;
    }
    let other = Backend::alone();
    let prober = prober.with_hold_time(Duration::ZERO);
    assert!(prober.probe(other.address).await.is_ok());
    reprobes.iter().for_each(tokio::task::JoinHandle::abort);
    drop(filling);
}
