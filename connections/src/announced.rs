//! Announcements of destroyed sockets, from the kernel to the samples.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{io::unix::AsyncFd, sync::Notify, time::sleep};

use crate::{
    accounts::AccountId,
    counters::time_wait_has_room,
    error::{Chain, ReadError},
    netlink::{Announcement, Announcements, Kept, Netlink, Received},
    own_sockets::OwnSockets,
    processor_time::thread_processor_time,
    socket::{Destroyed, Pair},
};

/// Receives announcements all the time, because the kernel's buffer is small, and keeps them until the next sample.
pub(crate) struct AnnouncementQueue {
    state: Mutex<State>,
    own_sockets: Arc<OwnSockets>,
}

/// Announcements between two samples.
#[derive(Debug, Default)]
pub(crate) struct Announced {
    pub(crate) destroyed: Vec<Destroyed>,
    /// Set if others were lost.
    pub(crate) is_incomplete: bool,
    /// Processor time of receiving them, without the call that returned this.
    pub(crate) cost: Duration,
}

/// Wakes a user when a connection to one of its backends has ended.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    backends: Mutex<Arc<BTreeSet<SocketAddr>>>,
    has_ended: AtomicBool,
    ended: Notify,
}

struct State {
    announcements: Announcements,
    netlink: Netlink,
    ports: BTreeSet<u16>,
    /// Announcements of which nothing has been looked up.
    fresh: Vec<Announcement>,
    announced: Announced,
    watches: BTreeMap<AccountId, Weak<Watch>>,
    time_wait: TimeWait,
}

/// Knowledge of whether the kernel keeps every connection in TIME-WAIT that this side has ended first.
#[derive(Default)]
struct TimeWait {
    has_room: bool,
    checked_at: Option<Instant>,
    /// Connections that ended since.
    ended: usize,
}

/// Number of announcements received at a time.
const MAX_RECEIVED_AT_ONCE: usize = 256;

/// Number of announcements kept for the next sample. If there are more, a dump finds what has ended.
const MAX_QUEUED: usize = 65_536;

/// Number of announcements of which what the kernel keeps is looked up together, if no sample asks for them before.
const MAX_FRESH: usize = 256;

/// Time after which the kernel may have forgotten what it kept of a connection: half of what TIME-WAIT lasts.
const MAX_FRESH_TIME: Duration = Duration::from_secs(30);

/// Pause between two times of receiving announcements: many are cheaper together. In it, the smallest usual buffer of a
/// kernel is filled by 30 000 closed connections a second.
const PAUSE: Duration = Duration::from_millis(10);

impl AnnouncementQueue {
    pub(crate) fn new(announcements: Announcements, own_sockets: Arc<OwnSockets>) -> Result<Self, ReadError> {
        let state = State {
            announcements,
            netlink: Netlink::open()?,
            ports: BTreeSet::new(),
            fresh: Vec::new(),
            announced: Announced::default(),
            watches: BTreeMap::new(),
            time_wait: TimeWait::default(),
        };
        Ok(Self { state: Mutex::new(state), own_sockets })
    }

    /// Returns a descriptor by which [`follow`] waits for announcements.
    pub(crate) fn descriptor(&self) -> Result<OwnedFd, ReadError> {
        self.lock().announcements.descriptor().map_err(ReadError::io("waiting for a netlink socket"))
    }

    /// Adds the watch of a user.
    pub(crate) fn add_watch(&self, user: AccountId, watch: &Arc<Watch>) {
        let mut state = self.lock();
        state.watches.retain(|_, watch| watch.strong_count() > 0);
        state.watches.insert(user, Arc::downgrade(watch));
    }

    /// Sets the remote ports of the sockets whose destruction matters.
    pub(crate) fn set_ports(&self, ports: &BTreeSet<u16>) {
        let mut state = self.lock();
        state.ports.clone_from(ports);
        if let Err(error) = state.announcements.set_ports(ports) {
            tracing::debug!(%error, "cannot filter announcements in the kernel");
        }
    }

    /// Returns all that was announced since the last call, and arms the watch of `user` again. Its cost is that of what was
    /// received before.
    pub(crate) fn take(&self, user: AccountId) -> Announced {
        let mut state = self.lock();
        // Whatever is announced meanwhile can wait.
        for _ in 0..MAX_QUEUED / MAX_RECEIVED_AT_ONCE {
            if state.receive(&self.own_sockets) == Received::All {
                break;
            }
        }
        state.look_up_fresh();
        if let Some(watch) = state.watches.get(&user).and_then(Weak::upgrade) {
            watch.has_ended.store(false, Ordering::Relaxed);
        }
        std::mem::take(&mut state.announced)
    }

    /// Receives some announcements, at a cost that the next sample takes over.
    fn receive(&self) -> Received {
        let mut state = self.lock();
        let before = thread_processor_time();
        let received = state.receive(&self.own_sockets);
        state.announced.cost += thread_processor_time().saturating_sub(before);
        received
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Receives announcements as soon as there are some, for as long as it is polled.
pub(crate) async fn follow(queue: Arc<AnnouncementQueue>, descriptor: AsyncFd<OwnedFd>) {
    loop {
        let Ok(mut ready) = descriptor.readable().await else { return };
        if queue.receive() == Received::All {
            ready.clear_ready();
            sleep(PAUSE).await;
        } else {
            tokio::task::yield_now().await;
        }
    }
}

impl State {
    /// Receives some announcements without waiting.
    fn receive(&mut self, own_sockets: &OwnSockets) -> Received {
        let (ports, fresh, watches) = (&self.ports, &mut self.fresh, &self.watches);
        let result = self.announcements.receive(MAX_RECEIVED_AT_ONCE, &mut |announcement| {
            let remote = announcement.pair.remote;
            if (remote.port() == 0 || ports.contains(&remote.port()))
                && !own_sockets.contains_cookie(announcement.identity)
            {
                watches.values().filter_map(Weak::upgrade).for_each(|watch| watch.notice(remote));
                fresh.push(announcement);
            }
        });
        let result = result.unwrap_or_else(|error| {
            self.announced.is_incomplete = true;
            if matches!(error, ReadError::Overrun) {
                return Received::Some;
            }
            tracing::debug!(error = %Chain(&error), "announcements of closed connections were lost");
            Received::All
        });
        if self.fresh.len() >= MAX_FRESH {
            self.look_up_fresh();
        }
        result
    }

    /// Looks up what the kernel keeps of the connections whose ends were announced: together, which is cheaper, and late,
    /// when they are asked for.
    fn look_up_fresh(&mut self) {
        let fresh = std::mem::take(&mut self.fresh);
        let is_kept = |announcement: &Announcement| announcement.at.elapsed() < MAX_FRESH_TIME;
        let pair_of = |announcement: &Announcement| announcement.pair_to_look_up().filter(|_| is_kept(announcement));
        let pairs: Vec<Option<Pair>> = fresh.iter().map(pair_of).collect();
        let known: Vec<Pair> = pairs.iter().copied().flatten().collect();
        let mut all_kept = self.look_up(&known).into_iter();
        for (announcement, pair) in fresh.iter().zip(pairs) {
            let kept = pair.and_then(|_| all_kept.next()).unwrap_or(Kept::Unknown);
            if self.announced.destroyed.len() < MAX_QUEUED {
                self.announced.destroyed.push(announcement.destroyed(kept));
            } else {
                self.announced.is_incomplete = true;
            }
        }
    }

    /// Looks up what the kernel keeps of connections that have just ended. Returns an empty list where that says nothing.
    fn look_up(&mut self, pairs: &[Pair]) -> Vec<Kept> {
        if pairs.is_empty() || !self.time_wait.has_room(pairs.len()) {
            return Vec::new();
        }
        let mut kept = Vec::with_capacity(pairs.len());
        if let Err(error) = self.netlink.look_up(pairs, &mut kept) {
            tracing::debug!(error = %Chain(&error), "cannot look up closed connections");
            if let Ok(fresh) = Netlink::open() {
                self.netlink = fresh;
            }
            return Vec::new();
        }
        kept.into_iter().map(|socket| socket.map_or(Kept::Nothing, Kept::Socket)).collect()
    }
}

impl TimeWait {
    fn has_room(&mut self, ended: usize) -> bool {
        const CHECK_INTERVAL: Duration = Duration::from_secs(1);
        const MAX_UNCHECKED: usize = 500;
        const ROOM: u64 = 1_000;
        self.ended += ended;
        if self.ended > MAX_UNCHECKED || self.checked_at.is_none_or(|checked| checked.elapsed() > CHECK_INTERVAL) {
            *self = Self { has_room: time_wait_has_room(ROOM), checked_at: Some(Instant::now()), ended: 0 };
        }
        self.has_room
    }
}

impl Watch {
    /// Sets the backends whose connections matter.
    pub(crate) fn set_backends(&self, backends: &Arc<BTreeSet<SocketAddr>>) {
        *self.backends() = Arc::clone(backends);
    }

    /// Waits until a connection to one of the backends has ended since the last sample.
    pub(crate) async fn ended(&self) {
        loop {
            let ended = self.ended.notified();
            if self.has_ended.load(Ordering::Relaxed) {
                return;
            }
            ended.await;
        }
    }

    fn notice(&self, remote: SocketAddr) {
        let matches = match remote.port() {
            0 => self.backends().range(remote..=SocketAddr::new(remote.ip(), u16::MAX)).next().is_some(),
            _ => self.backends().contains(&remote),
        };
        if matches {
            self.has_ended.store(true, Ordering::Relaxed);
            self.ended.notify_waiters();
        }
    }

    fn backends(&self) -> MutexGuard<'_, Arc<BTreeSet<SocketAddr>>> {
        self.backends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
