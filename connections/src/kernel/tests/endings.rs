//! Promises of the ends of connections, on real connections.

use std::{
    net::{TcpListener as StdListener, TcpStream as StdStream},
    thread,
};

use super::*;

#[tokio::test]
async fn the_end_of_a_connection_wakes_whoever_waits_for_it() {
    let (backend, other) = (Backend::alone(), Backend::alone());
    let connections = counting_by(Method::NetlinkAnnouncements);
    let (ours, theirs) = backend.connect().await;
    let (others, _) = other.connect().await;
    load(&connections, &backend).await;
    let mut ended = Box::pin(connections.ended());
    drop(others);
    connections.prober().with_hold_time(Duration::ZERO).probe(backend.address).await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(50), &mut ended).await;
    assert!(early.is_err(), "neither another backend's connection nor a probe matters");
    drop(theirs);
    drop(ours);
    ended.await;
    connections.ended().await;
    let (load, _) = sampled_until(&connections, &backend, |load| load.closed == 1).await;
    assert_eq!(load.connections(), 0);
    let again = tokio::time::timeout(Duration::from_millis(50), connections.ended()).await;
    assert!(again.is_err(), "a sample has shown it");
}

/// A way in which a connection ends, with who is to be named and how much data the backend has sent.
#[derive(Clone, Copy, Debug)]
enum End {
    BackendCloses,
    BackendGreetsAndCloses,
    BackendResets,
    ProxyCloses,
    ProxyResets,
    ProxyEndsItsHalf,
    BackendRefuses,
}

#[rstest]
#[case(End::BackendCloses, EndedBy::Backend, 0)]
#[case(End::BackendGreetsAndCloses, EndedBy::Backend, 7)]
#[case(End::BackendResets, EndedBy::Backend, 0)]
#[case(End::ProxyCloses, EndedBy::Proxy, 0)]
#[case(End::ProxyResets, EndedBy::Proxy, 0)]
#[case(End::ProxyEndsItsHalf, EndedBy::Proxy, 0)]
#[case(End::BackendRefuses, EndedBy::NeverAnswered, 0)]
#[tokio::test]
async fn an_ending_tells_who_ended_it_and_what_the_backend_sent(
    #[case] end: End,
    #[case] by: EndedBy,
    #[case] received: u64,
    #[values(false, true)] is_known: bool,
) {
    let backend = Backend::alone();
    let connections = counting_by(Method::NetlinkAnnouncements);
    let address = backend.address;
    let _stays = backend.connect().await;
    load(&connections, &backend).await;
    let sampled = async |opened| {
        if is_known {
            sampled_until(&connections, &backend, |load| load.opened == opened).await;
        }
    };
    if let End::BackendRefuses = end {
        let set = backend.set();
        drop(backend);
        assert!(TcpStream::connect(address).await.is_err());
        let endings = loop {
            let sample = connections.sample(&set).await.unwrap();
            if !sample.endings().is_empty() {
                break sample.endings().to_vec();
            }
        };
        assert_eq!(endings.iter().map(|e| (e.backend, e.by)).collect::<Vec<_>>(), [(address, by)]);
        return;
    }
    let (mut ours, mut theirs) = backend.connect().await;
    sampled(1).await;
    let mut rest = Vec::new();
    match end {
        End::BackendGreetsAndCloses => {
            theirs.write_all(b"go away").await.unwrap();
            drop(theirs);
            ours.read_to_end(&mut rest).await.unwrap();
            drop(ours);
        }
        End::BackendCloses => {
            drop(theirs);
            ours.read_to_end(&mut rest).await.unwrap();
            drop(ours);
        }
        End::BackendResets => {
            theirs.set_zero_linger().unwrap();
            drop(theirs);
            ours.read_to_end(&mut rest).await.unwrap_err();
            drop(ours);
        }
        End::ProxyCloses => {
            drop(ours);
            theirs.read_to_end(&mut rest).await.unwrap();
        }
        End::ProxyResets => {
            ours.set_zero_linger().unwrap();
            drop(ours);
        }
        End::ProxyEndsItsHalf => {
            ours.shutdown().await.unwrap();
            theirs.read_to_end(&mut rest).await.unwrap();
            drop(theirs);
            ours.read_to_end(&mut rest).await.unwrap();
            drop(ours);
        }
        End::BackendRefuses => unreachable!("see above"),
    }
    let (load, endings) =
        sampled_until(&connections, &backend, |load| load.closed == 1 && load.connections() == 1).await;
    let seen: Vec<_> = endings.iter().map(|ending| (ending.by, ending.received)).collect();
    assert_eq!((seen, load.opened), (vec![(by, received)], u32::from(!is_known)));
}

#[tokio::test]
async fn the_age_of_a_connection_that_no_sample_saw_is_known() {
    let backend = Backend::alone();
    let connections = counting_by(Method::NetlinkAnnouncements);
    load(&connections, &backend).await;
    let (ours, theirs) = backend.connect().await;
    let opened_at = std::time::Instant::now();
    tokio::time::sleep(Duration::from_millis(80)).await;
    let lived = opened_at.elapsed();
    drop(theirs);
    drop(ours);
    let (_, endings) = sampled_until(&connections, &backend, |load| load.closed == 1).await;
    // The kernel counts in ticks of up to 10 ms.
    assert!(endings[0].age + Duration::from_millis(10) >= lived, "{endings:?}, lived {lived:?}");
}

/// Thousands of connections a second end. Of those that a small buffer of the kernel loses, a dump shows the end.
#[rstest]
#[case::with_a_large_buffer(Announcements::BUFFER_BYTES)]
#[case::with_a_buffer_for_few(4_096)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_closed_connections_is_counted_and_what_is_lost_is_corrected(#[case] buffer_bytes: usize) {
    const ROUNDS: u32 = 20;
    const PER_ROUND: u32 = 500;
    let backend = Backend::alone();
    let connections = counting_with_buffer(Method::NetlinkAnnouncements, &Options::default(), buffer_bytes);
    let _stays = backend.connect().await;
    load(&connections, &backend).await;
    let (mut opened, mut closed) = (0, 0);
    for _ in 0..ROUNDS {
        let mut held = Vec::new();
        for _ in 0..PER_ROUND {
            held.push(backend.connect().await);
        }
        let sample = connections.sample(&backend.set()).await.unwrap();
        drop(held);
        let load = sample.get(backend.address);
        opened += load.opened;
        closed += load.closed;
    }
    let (load, _) = sampled_until(&connections, &backend, |load| load.connections() == 1).await;
    assert_eq!(opened + load.opened - closed - load.closed, 0);
    assert!((1..=ROUNDS * PER_ROUND).contains(&(closed + load.closed)));
}

/// The announcement of the proof may be among those that the kernel has to drop.
#[test]
fn announcements_are_proved_after_others_have_overrun_the_buffer() {
    const OTHERS: usize = 3_000;
    let others = StdListener::bind("127.0.0.1:0").unwrap();
    let address = others.local_addr().unwrap();
    thread::scope(|scope| {
        let flood = scope.spawn(|| {
            for _ in 0..OTHERS {
                let stream = StdStream::connect(address).unwrap();
                drop(others.accept().unwrap());
                drop(stream);
            }
        });
        // The smallest buffer that there is.
        while !flood.is_finished() {
            prove_announcements(1).map(drop).unwrap();
        }
    });
}
