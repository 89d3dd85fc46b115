//! Clients: long connections on which lines are echoed, and new connections all the time. Each judges what happens to it.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ilb_testbed::Connection;
use tokio::{sync::mpsc, task::JoinSet, time::sleep};

use crate::{
    model::Model,
    setup::{POOLS, Setup, Slot},
    violation::Violation,
};

/// Long connections to each pool by each Traefik.
const LONG_CONNECTIONS: usize = 4;
/// Time between two lines on a long connection.
const LINE_INTERVAL: Duration = Duration::from_millis(500);

/// State that clients, the model and the run share.
pub(crate) struct Shared {
    model: Mutex<Model>,
    tally: Mutex<Tally>,
    /// Attempts to connect that have no outcome yet: Traefik, pool and start.
    attempts: Mutex<Vec<(usize, usize, Instant)>>,
    violations: mpsc::UnboundedSender<Violation>,
    address_of: Box<dyn Fn(Slot) -> SocketAddr + Send + Sync>,
}

/// Counts of what clients have noticed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) attempts: u64,
    pub(crate) failed: u64,
    pub(crate) ended: u64,
}

impl Shared {
    pub(crate) fn new(
        model: Model,
        violations: mpsc::UnboundedSender<Violation>,
        address_of: impl Fn(Slot) -> SocketAddr + Send + Sync + 'static,
    ) -> Arc<Self> {
        let address_of = Box::new(address_of);
        Arc::new(Self {
            model: Mutex::new(model),
            tally: Mutex::default(),
            attempts: Mutex::default(),
            violations,
            address_of,
        })
    }

    /// Returns the model. It must not be kept over an `await`.
    pub(crate) fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the counts since the last call.
    pub(crate) fn take_tally(&self) -> Tally {
        std::mem::take(&mut self.tally())
    }

    /// Returns the address of a backend.
    pub(crate) fn address(&self, slot: Slot) -> SocketAddr {
        (self.address_of)(slot)
    }

    /// Returns whether an attempt to connect that was begun before `moment` has no outcome yet, and must not fail.
    pub(crate) fn has_attempts_older_than(&self, moment: Instant) -> bool {
        let model = self.model();
        let is_old = |(traefik, pool, started): &(usize, usize, Instant)| {
            *started < moment && model.excuse(*traefik, *pool, *started).is_none()
        };
        self.attempts().iter().any(is_old)
    }

    fn attempts(&self) -> MutexGuard<'_, Vec<(usize, usize, Instant)>> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report(&self, kind: &'static str, expected: &str, seen: String) {
        let _ = self.violations.send(Violation { kind, expected: expected.to_owned(), seen });
    }
}

/// Clients at work. Dropping it ends them.
pub(crate) struct Clients {
    _tasks: JoinSet<()>,
}

impl Clients {
    /// Starts the clients of each pool at each Traefik. `entry_point` returns the address of one.
    pub(crate) fn start(shared: &Arc<Shared>, entry_point: impl Fn(usize, usize) -> SocketAddr) -> Self {
        let setup = shared.model().setup();
        let mut tasks = JoinSet::new();
        for traefik in 0..setup.traefiks() {
            for pool in 0..POOLS.len() {
                let at = At { traefik, pool, address: entry_point(traefik, pool) };
                tasks.spawn(open_new_connections(Arc::clone(shared), at, interval(setup)));
                for _ in 0..LONG_CONNECTIONS {
                    tasks.spawn(keep_a_connection(Arc::clone(shared), at));
                }
            }
        }
        Self { _tasks: tasks }
    }
}

/// Returns the time between two new connections to a pool: as many in all, whatever the number of Traefiks.
fn interval(setup: Setup) -> Duration {
    match setup {
        Setup::Fleet => Duration::from_millis(200),
        Setup::Single => Duration::from_millis(100),
    }
}

/// Place of a client.
#[derive(Clone, Copy)]
struct At {
    traefik: usize,
    pool: usize,
    address: SocketAddr,
}

impl At {
    fn name(self) -> String {
        format!("{} by Traefik {}", POOLS[self.pool].name, self.traefik + 1)
    }
}

async fn open_new_connections(shared: Arc<Shared>, at: At, interval: Duration) {
    loop {
        let started = Instant::now();
        let attempt = (at.traefik, at.pool, started);
        shared.attempts().push(attempt);
        let opened = Connection::open(at.address).await;
        shared.attempts().retain(|other| *other != attempt);
        judge_attempt(&shared, at, started, &opened);
        sleep(interval).await;
        // It has lived for as long as most do.
        drop(opened);
    }
}

fn judge_attempt(shared: &Shared, at: At, started: Instant, opened: &anyhow::Result<Connection>) {
    let model = shared.model();
    let is_by_design = opened.is_err() && model.was_emptied(at.pool);
    if !is_by_design {
        let mut tally = shared.tally();
        tally.attempts += 1;
        tally.failed += u64::from(opened.is_err());
    }
    match opened {
        Ok(connection) => match Slot::of(connection.backend(), |slot| shared.address(slot)) {
            Some(slot) if slot.pool == at.pool && !model.is_forbidden(at.traefik, slot, started) => {}
            slot => shared.report(
                "gone backend",
                "no new connection to a backend that is gone or of another pool",
                format!("a new connection to {} has reached {}: {slot:?}", at.name(), connection.backend()),
            ),
        },
        Err(error) => {
            if model.excuse(at.traefik, at.pool, started).is_none() {
                shared.report(
                    "not served",
                    "every working pool is served",
                    format!("a new connection to {} has failed: {error:#}", at.name()),
                );
            }
        }
    }
}

async fn keep_a_connection(shared: Arc<Shared>, at: At) {
    loop {
        let opened = Instant::now();
        if let Ok(connection) = Connection::open(at.address).await {
            hold(&shared, at, opened, connection).await;
        }
        sleep(LINE_INTERVAL).await;
    }
}

/// Exchanges lines until the connection ends.
async fn hold(shared: &Shared, at: At, opened: Instant, mut connection: Connection) {
    let Some(slot) = Slot::of(connection.backend(), |slot| shared.address(slot)) else { return };
    loop {
        if let Err(error) = connection.check_alive().await {
            shared.tally().ended += 1;
            let model = shared.model();
            let is_excused =
                model.reason_for_end(at.traefik, slot, opened).is_some() || model.may_be_silent(at.traefik);
            if !is_excused {
                shared.report(
                    "connection ended",
                    "no established connection is ended",
                    format!("a connection to {} at {} was ended: {error:#}", at.name(), connection.backend()),
                );
            }
            return;
        }
        sleep(LINE_INTERVAL).await;
    }
}
