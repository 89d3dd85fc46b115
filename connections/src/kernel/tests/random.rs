//! Both ways of reading, on real connections that come and go at random.

use std::collections::BTreeMap;

use super::*;

/// Numbers that look random, and are the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

/// Knowledge of a backend that a user has who adds up its samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Known {
    established: u32,
    half_closed: u32,
    opened: u32,
    closed: u32,
}

#[tokio::test]
async fn both_ways_count_the_same_connections() {
    const STEPS: usize = 400;
    let backends = [(); 3].map(|()| Backend::alone());
    let set: BTreeSet<SocketAddr> = backends.iter().map(|backend| backend.address).collect();
    let counting = [Method::NetlinkAnnouncements, Method::Netlink].map(counting_by);
    let mut truth: BTreeMap<_, _> = set.iter().map(|backend| (*backend, Known::default())).collect();
    let mut known = [truth.clone(), truth.clone()];
    let mut random = Random(20);
    let mut open = Vec::new();
    for (connections, known) in counting.iter().zip(&mut known) {
        enter(connections, &set, known).await;
    }
    for _ in 0..STEPS {
        match random.below(8) {
            0..=3 => {
                let backend = &backends[random.below(backends.len())];
                let (ours, theirs) = backend.connect().await;
                open.push((backend.address, ours, theirs, false));
                let truth = truth.get_mut(&backend.address).unwrap();
                (truth.established, truth.opened) = (truth.established + 1, truth.opened + 1);
            }
            4..=5 if !open.is_empty() => {
                let (backend, ours, theirs, is_half_closed) = open.swap_remove(random.below(open.len()));
                if random.below(2) == 0 {
                    drop(ours);
                    drop(theirs);
                } else {
                    drop(theirs);
                    drop(ours);
                }
                let truth = truth.get_mut(&backend).unwrap();
                *if is_half_closed { &mut truth.half_closed } else { &mut truth.established } -= 1;
                truth.closed += 1;
            }
            6 if !open.is_empty() => {
                let index = random.below(open.len());
                let (backend, ours, _, is_half_closed) = &mut open[index];
                ours.shutdown().await.unwrap();
                let truth = truth.get_mut(backend).unwrap();
                if !std::mem::replace(is_half_closed, true) {
                    (truth.established, truth.half_closed) = (truth.established - 1, truth.half_closed + 1);
                }
            }
            _ => {
                for (connections, known) in counting.iter().zip(&mut known) {
                    enter(connections, &set, known).await;
                }
            }
        }
    }
    let started = std::time::Instant::now();
    loop {
        for (connections, known) in counting.iter().zip(&mut known) {
            enter(connections, &set, known).await;
        }
        // Those that lived for less than the time between two samples are only known by announcements.
        for (known, truth) in known[1].values_mut().zip(truth.values()) {
            assert!(known.opened <= truth.opened && known.closed <= truth.closed);
            if known.established == truth.established && known.half_closed == truth.half_closed {
                (known.opened, known.closed) = (truth.opened, truth.closed);
            }
        }
        if known.iter().all(|known| *known == truth) {
            return;
        }
        assert!(started.elapsed() < LIMIT, "{known:#?}, {truth:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Enters a sample, and checks that it continues the one before.
async fn enter(connections: &KernelConnections, set: &BTreeSet<SocketAddr>, known: &mut BTreeMap<SocketAddr, Known>) {
    let sample = connections.sample(set).await.unwrap();
    for (backend, known) in known {
        let load = sample.get(*backend);
        assert_eq!(known.established + known.half_closed + load.opened - load.closed, load.connections());
        *known = Known {
            established: load.established,
            half_closed: load.half_closed,
            opened: known.opened + load.opened,
            closed: known.closed + load.closed,
        };
    }
}
