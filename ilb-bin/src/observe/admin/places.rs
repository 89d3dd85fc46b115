//! The places for connections: how many there are, and which connection has to go when they are taken.

use std::{
    collections::BTreeMap,
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{task::AbortHandle, time::Instant};

/// Limits the number of connections, in total and per peer. A new connection always gets a place: if none is free, the
/// connection that has been waiting for its next request for the longest time is closed. Only if none is waiting, one that
/// does something else is: the one that has been at it for the longest time, or of those whose request is being served the
/// latest, so that the others get their turn.
///
/// So connections that are idle or slow, however many, keep no other out for long.
#[derive(Clone, Debug)]
pub(super) struct Places(Arc<Mutex<Table>>);

/// The place of one connection, which is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    number: u64,
    places: Places,
}

/// Activity of a connection, in the order in which connections are closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Doing {
    /// Waits for a request, or for the rest of one.
    Waiting,
    /// Waits, and its peer has not read all of a large response yet.
    Sending,
    /// Has sent a request, and waits for the response.
    Serving,
    /// Sends a stream of events.
    Streaming,
}

/// Numbers of places.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) total: usize,
    /// Number of those that the connections of one peer may take.
    pub(super) per_peer: usize,
}

#[derive(Debug)]
struct Table {
    limits: Limits,
    /// Number of the next place. Each connection has one of its own.
    next: u64,
    taken: BTreeMap<u64, Taken>,
}

struct Taken {
    peer: IpAddr,
    doing: Doing,
    /// Number of large documents that the peer has not read yet.
    unread: usize,
    since: Instant,
    /// Task of the connection; `None` until it has been started.
    task: Option<AbortHandle>,
}

impl Places {
    pub(super) fn new(limits: Limits) -> Self {
        Self(Arc::new(Mutex::new(Table { limits, next: 0, taken: BTreeMap::new() })))
    }

    /// Starts the task of a connection that does this, which may be closed at any time to make room for another one.
    pub(super) fn spawn<F>(&self, peer: IpAddr, doing: Doing, connection: impl FnOnce(Arc<Place>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        // The kernel shows the peers of a listener for both families with IPv6 addresses.
        let number = self.table().take(peer.to_canonical(), doing);
        let place = Arc::new(Place { number, places: self.clone() });
        let task = tokio::spawn(connection(place)).abort_handle();
        if let Some(taken) = self.table().taken.get_mut(&number) {
            taken.task = Some(task);
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Takes in what the connection does from now on.
    pub(super) fn does(&self, doing: Doing) {
        self.update(|taken| (taken.doing, taken.since) = (doing, Instant::now()));
    }

    /// Takes in that a large document is on its way.
    pub(super) fn begins_to_send(&self) {
        self.update(|taken| taken.unread += 1);
    }

    /// Takes in that a large document has been read.
    pub(super) fn has_sent(&self) {
        self.update(|taken| taken.unread -= 1);
    }

    fn update(&self, with: impl FnOnce(&mut Taken)) {
        if let Some(taken) = self.places.table().taken.get_mut(&self.number) {
            with(taken);
        }
    }

    /// Returns whether so many places are taken that the connection should be closed after its present request.
    pub(super) fn is_scarce(&self) -> bool {
        let table = self.places.table();
        table.taken.len() * 2 > table.limits.total
    }

    /// Closes the connection.
    pub(super) fn close(&self) {
        self.places.table().close(self.number);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.table().taken.remove(&self.number);
    }
}

impl Table {
    fn take(&mut self, peer: IpAddr, doing: Doing) -> u64 {
        if self.taken.values().filter(|taken| taken.peer == peer).count() >= self.limits.per_peer {
            self.make_room(|taken| taken.peer == peer);
        }
        if self.taken.len() >= self.limits.total {
            self.make_room(|_| true);
        }
        let number = self.next;
        self.next += 1;
        self.taken.insert(number, Taken { peer, doing, unread: 0, since: Instant::now(), task: None });
        number
    }

    /// Closes one of the connections that `may_go`.
    fn make_room(&mut self, may_go: impl Fn(&Taken) -> bool) {
        let candidates = || self.taken.iter().filter(|(_, taken)| may_go(taken));
        let Some(doing) = candidates().map(|(_, taken)| taken.doing()).min() else { return };
        let candidates = candidates().filter(|(_, taken)| taken.doing() == doing);
        let closed = match doing {
            Doing::Serving => candidates.max_by_key(|(_, taken)| taken.since),
            Doing::Waiting | Doing::Sending | Doing::Streaming => candidates.min_by_key(|(_, taken)| taken.since),
        };
        if let Some(number) = closed.map(|(number, _)| *number) {
            self.close(number);
        }
    }

    fn close(&mut self, number: u64) {
        if let Some(task) = self.taken.remove(&number).and_then(|taken| taken.task) {
            task.abort();
        }
    }
}

impl Taken {
    fn doing(&self) -> Doing {
        if self.unread > 0 { self.doing.max(Doing::Sending) } else { self.doing }
    }
}

impl fmt::Debug for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} since {:?}", self.peer, self.doing(), self.since)
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, time::Duration};

    use tokio::{task::yield_now, time::advance};

    use super::*;

    const LIMITS: Limits = Limits { total: 4, per_peer: 3 };

    fn peer(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    /// Takes a place a second later than the one before.
    async fn connect(places: &Places, peer: IpAddr) -> Arc<Place> {
        advance(Duration::from_secs(1)).await;
        let (sender, receiver) = tokio::sync::oneshot::channel();
        places.spawn(peer, Doing::Waiting, |place| async move {
            sender.send(Arc::downgrade(&place)).unwrap();
            let _place = place;
            pending::<()>().await;
        });
        receiver.await.unwrap().upgrade().unwrap()
    }

    /// Returns the places that are taken.
    async fn taken(places: &Places) -> Vec<u64> {
        yield_now().await;
        places.table().taken.keys().copied().collect()
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_places_are_taken_the_connection_that_has_been_waiting_longest_is_closed() {
        let places = Places::new(LIMITS);
        for number in 0..4 {
            connect(&places, peer(number)).await;
        }
        let first = connect(&places, peer(4)).await;
        assert_eq!(taken(&places).await, [1, 2, 3, 4]);
        first.does(Doing::Waiting); // after a request
        connect(&places, peer(5)).await;
        assert_eq!(taken(&places).await, [2, 3, 4, 5]);
    }

    #[tokio::test(start_paused = true)]
    async fn connections_at_work_are_closed_last() {
        let places = Places::new(LIMITS);
        connect(&places, peer(0)).await.does(Doing::Streaming);
        connect(&places, peer(1)).await.does(Doing::Serving);
        let sending = connect(&places, peer(2)).await;
        sending.begins_to_send();
        for number in 3..6 {
            connect(&places, peer(number)).await; // 3 and 4 are closed
        }
        assert_eq!(taken(&places).await, [0, 1, 2, 5]);
        sending.has_sent();
        for number in 6..9 {
            connect(&places, peer(number)).await.does(Doing::Serving); // 2, 5 and 7 are closed
        }
        assert_eq!(taken(&places).await, [0, 1, 6, 8]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_with_too_many_connections_loses_one_of_its_own() {
        let places = Places::new(LIMITS);
        connect(&places, peer(0)).await;
        for _ in 0..5 {
            connect(&places, peer(1)).await;
        }
        connect(&places, "::ffff:10.0.0.1".parse().unwrap()).await;
        assert_eq!(taken(&places).await, [0, 4, 5, 6]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_place_of_a_connection_that_ends_is_free() {
        let places = Places::new(LIMITS);
        let place = connect(&places, peer(0)).await;
        place.close();
        drop(place);
        places.spawn(peer(0), Doing::Waiting, |_| async {});
        assert!(taken(&places).await.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn places_are_scarce_when_more_than_half_are_taken() {
        let places = Places::new(LIMITS);
        connect(&places, peer(0)).await;
        let place = connect(&places, peer(1)).await;
        assert!(!place.is_scarce());
        connect(&places, peer(2)).await;
        assert!(place.is_scarce());
    }
}
