//! The documents that are on their way to readers, which may be slow.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use axum::body::Bytes;
use tokio::{
    sync::{Mutex as Turn, Notify},
    time::{Instant, timeout_at},
};

use super::places::Place;

/// Sends documents on one connection.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    sending: Sending,
    /// Place of the connection; `None` in a test without one.
    place: Option<Arc<Place>>,
}

/// Limits the memory of all documents on their way. Readers of the same document share it.
///
/// A document that does not fit waits until others have been read. If those are not read within a while, the connections of
/// the oldest one are closed: slow readers neither fill the memory nor keep others out.
#[derive(Clone, Debug, Default)]
pub(super) struct Sending(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// Lets documents start in the order in which they were asked for.
    turn: Turn<()>,
    on_way: Mutex<OnWay>,
    /// Notified when a document has been read, or its connection has been closed.
    freed: Notify,
}

#[derive(Debug, Default)]
struct OnWay {
    /// Size of all documents.
    bytes: usize,
    /// Number of the next copy. Each has one of its own.
    next: u64,
    /// Documents by their place in the memory.
    documents: BTreeMap<usize, OneDocument>,
}

/// A document with its readers.
#[derive(Debug)]
struct OneDocument {
    bytes: usize,
    /// The moment at which the last reader was added.
    since: Instant,
    /// Places of the readers, by the number of their copy.
    readers: BTreeMap<u64, Weak<Place>>,
}

/// A copy of a document on its way to a reader.
struct Copy {
    document: Bytes,
    number: u64,
    sending: Sending,
    place: Arc<Place>,
}

/// Maximum size of all documents on their way. A single one may be larger.
const MAX_BYTES: usize = 8 << 20;

/// Size of a document that is not counted: it fits into the buffers of a connection.
const SMALL_DOCUMENT_BYTES: usize = 64 << 10;

/// Time that a reader has in any case.
const MIN_TIME: Duration = Duration::from_secs(2);

impl Sender {
    pub(super) fn new(sending: Sending, place: Option<Arc<Place>>) -> Self {
        Self { sending, place }
    }

    /// Waits until there is room for `document`, and returns it as a part of the response.
    pub(super) async fn send(&self, document: Bytes) -> Bytes {
        match &self.place {
            Some(place) if document.len() > SMALL_DOCUMENT_BYTES => self.sending.start(document, place).await,
            _ => document,
        }
    }
}

impl Sending {
    async fn start(&self, document: Bytes, place: &Arc<Place>) -> Bytes {
        let added = self.on_way().add(&document, place);
        let number = match added {
            Ok(number) => number,
            Err(_) => self.wait(&document, place).await,
        };
        place.begins_to_send();
        Bytes::from_owner(Copy { document, number, sending: self.clone(), place: Arc::clone(place) })
    }

    async fn wait(&self, document: &Bytes, place: &Arc<Place>) -> u64 {
        let _turn = self.0.turn.lock().await;
        loop {
            let freed = self.0.freed.notified();
            let added = self.on_way().add(document, place);
            let oldest = match added {
                Ok(number) => return number,
                Err(oldest) => oldest,
            };
            if timeout_at(oldest.since + MIN_TIME, freed).await.is_err() {
                let readers = self.on_way().remove(oldest.at);
                readers.iter().filter_map(Weak::upgrade).for_each(|place| place.close());
            }
        }
    }

    fn on_way(&self) -> MutexGuard<'_, OnWay> {
        self.0.on_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The document to which no reader has been added for the longest time.
struct Oldest {
    at: usize,
    since: Instant,
}

impl OnWay {
    /// Adds a reader if the document fits, and returns the number of its copy.
    fn add(&mut self, document: &Bytes, place: &Arc<Place>) -> Result<u64, Oldest> {
        let (at, bytes) = (key(document), document.len());
        if !self.documents.contains_key(&at) {
            let oldest = self.documents.iter().min_by_key(|(_, document)| document.since);
            if let Some((at, OneDocument { since, .. })) = oldest.filter(|_| self.bytes + bytes > MAX_BYTES) {
                return Err(Oldest { at: *at, since: *since });
            }
            self.bytes += bytes;
        }
        let number = self.next;
        self.next += 1;
        let new = || OneDocument { bytes, since: Instant::now(), readers: BTreeMap::new() };
        let document = self.documents.entry(at).or_insert_with(new);
        document.since = Instant::now();
        document.readers.insert(number, Arc::downgrade(place));
        Ok(number)
    }

    /// Removes a document, and returns the places of its readers.
    fn remove(&mut self, at: usize) -> Vec<Weak<Place>> {
        let Some(document) = self.documents.remove(&at) else { return Vec::new() };
        self.bytes -= document.bytes;
        document.readers.into_values().collect()
    }

    /// Removes a copy that has been read, and the document with its last one.
    fn read(&mut self, at: usize, number: u64) {
        if let Some(document) = self.documents.get_mut(&at)
            && document.readers.remove(&number).is_some()
            && document.readers.is_empty()
        {
            self.remove(at);
        }
    }
}

/// Returns what tells a document from the others. As long as there are copies of it, no other one is at its place.
fn key(document: &Bytes) -> usize {
    document.as_ptr().addr()
}

impl AsRef<[u8]> for Copy {
    fn as_ref(&self) -> &[u8] {
        &self.document
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        self.sending.on_way().read(key(&self.document), self.number);
        self.sending.0.freed.notify_waiters();
        self.place.has_sent();
    }
}

impl fmt::Debug for Copy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Copy").field("number", &self.number).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::{sync::oneshot, time::sleep};

    use super::{
        super::places::{Doing, Limits, Places},
        *,
    };

    /// Returns a document of which two fit.
    fn document() -> Bytes {
        Bytes::from(vec![0; MAX_BYTES / 3 + 1])
    }

    /// Starts a connection that does nothing. Returns its sender, and what ends when the connection is closed.
    async fn connection(sending: &Sending) -> (Sender, oneshot::Receiver<()>) {
        let (sender, receiver) = oneshot::channel();
        let (open, closed) = oneshot::channel::<()>();
        Places::new(Limits { total: 10, per_peer: 10 }).spawn(
            [10, 0, 0, 1].into(),
            Doing::Waiting,
            |place| async move {
                let _ = sender.send(place);
                let _open = open;
                pending::<()>().await;
            },
        );
        (Sender::new(sending.clone(), Some(receiver.await.unwrap())), closed)
    }

    #[tokio::test(start_paused = true)]
    async fn a_document_that_does_not_fit_waits_until_one_has_been_read() {
        let sending = Sending::default();
        let (sender, _open) = connection(&sending).await;
        let read_soon = sender.send(document()).await;
        let _read_later = sender.send(document()).await;
        let started = Instant::now();
        let read = async {
            sleep(Duration::from_secs(1)).await;
            drop(read_soon);
        };
        let (third, ()) = tokio::join!(sender.send(document()), read);
        assert_eq!((third.len(), started.elapsed()), (document().len(), Duration::from_secs(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn readers_of_one_document_share_its_memory() {
        let sending = Sending::default();
        let (sender, _open) = connection(&sending).await;
        let (shared, started, mut copies) = (document(), Instant::now(), Vec::new());
        for _ in 0..100 {
            copies.push(sender.send(shared.clone()).await);
        }
        copies.push(sender.send(document()).await);
        assert_eq!(started.elapsed(), Duration::ZERO);
        assert_eq!(sending.on_way().bytes, 2 * shared.len());
        drop(copies);
        let on_way = sending.on_way();
        assert_eq!((on_way.bytes, on_way.documents.len()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn connections_of_readers_that_are_too_slow_are_closed_for_another_document() {
        let sending = Sending::default();
        let ((slow, closed), (sender, _open)) = (connection(&sending).await, connection(&sending).await);
        let old = document();
        let _not_read = [slow.send(old.clone()).await, slow.send(old).await];
        let _read = sender.send(document()).await;
        let started = Instant::now();
        let _third = sender.send(document()).await;
        assert_eq!(started.elapsed(), MIN_TIME);
        assert!(closed.await.is_err(), "its task has ended");
    }

    #[tokio::test(start_paused = true)]
    async fn a_document_larger_than_the_limit_is_sent_alone() {
        let sending = Sending::default();
        let (sender, _open) = connection(&sending).await;
        let size = 2 * MAX_BYTES;
        drop(sender.send(Bytes::from(vec![0; size])).await);
        assert_eq!(sender.send(Bytes::from(vec![0; size])).await.len(), size);
    }

    #[tokio::test(start_paused = true)]
    async fn small_documents_never_wait() {
        let sending = Sending::default();
        let (sender, _open) = connection(&sending).await;
        let _large = sender.send(Bytes::from(vec![0; 2 * MAX_BYTES])).await;
        let started = Instant::now();
        sender.send(Bytes::from(vec![0; SMALL_DOCUMENT_BYTES])).await;
        assert_eq!(started.elapsed(), Duration::ZERO);
    }
}
