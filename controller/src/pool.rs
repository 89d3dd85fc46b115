//! The pools that a controller serves.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, stream::BoxStream};
use ilb_discovery::{Backend, BackendSet, Capacity, Discovery, State, Update};
use ilb_reconciler::{
    ClosingPolicy, Decision, RoundRobin,
    siblings::{Heard, ReplicaId, Report},
};
use ilb_traefik_client::{Member, Name};
use tokio::time::Instant;

use crate::{
    closing::PoolClosing,
    counting::CountingWakeUp,
    desired::Desired,
    event::{Event, Observer},
    policy::Policy,
    pool_info::PoolInfo,
    spec::PoolSpec,
};

/// Watches the backends of one pool and decides what should be in force for them.
///
/// Holds the last set that discovery published and the last decision of the policy. The
/// [`Controller`](crate::Controller) that owns the pool drives it; alone it does nothing.
pub struct Pool {
    pub(crate) info: PoolInfo,
    sets: BoxStream<'static, Result<Update, ilb_discovery::Error>>,
    pub(crate) policy: Policy,
    /// True if something has happened since the policy advanced last. With thousands of backends a look at all of them
    /// at each event of any pool would cost more than the pushes.
    is_due: bool,
    /// The last set, whatever the states of its backends.
    pub(crate) seen: Option<Arc<BackendSet>>,
    /// Number of backends that other pools have, too.
    shared: usize,
    /// True while the policy does not know of `seen`.
    is_undecided: bool,
    /// The backends that may take new connections, of the last set that the policy knows.
    ready: Option<Arc<BackendSet>>,
    decided: Option<Arc<Decision>>,
    /// The desired state of the pool that this one has replaced, or of an earlier process. It is in use until this pool
    /// has a decision of its own.
    inherited: Option<Desired>,
    /// Decides which live connections to close; `None` if none ever is.
    pub(crate) closing: Option<PoolClosing>,
}

/// Cause for a pool to wake up.
#[derive(Debug)]
pub(crate) enum PoolWakeUp {
    Discovered(Result<Update, ilb_discovery::Error>),
    Counting(CountingWakeUp),
}

impl PoolWakeUp {
    /// Returns `true` if connections were counted, or could not be.
    pub(crate) fn is_sample(&self) -> bool {
        matches!(self, Self::Counting(CountingWakeUp::Sampled(_)))
    }
}

impl Pool {
    /// Creates a pool of the backends that `discovery` watches, balanced by round robin. It must be called within a Tokio
    /// runtime, where the watch starts at once.
    pub fn new(spec: PoolSpec, discovery: impl Discovery) -> Self {
        let (sets, policy) = (discovery.watch_updates(), Policy::round_robin());
        let info = PoolInfo::new(Arc::new(spec), policy.method(), Arc::new(discovery));
        Self {
            info,
            sets,
            policy,
            is_due: true,
            seen: None,
            shared: 0,
            is_undecided: false,
            ready: None,
            decided: None,
            inherited: None,
            closing: None,
        }
    }

    /// Replaces the policy.
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.info.method = policy.method();
        self.info.zone_max_excess_percent = policy.zone_max_excess_percent();
        Self { policy, ..self }
    }

    /// Closes live connections by these rules, if the controller has a [closer](crate::Controller::with_closer); otherwise it
    /// only reports which ones it would close. That takes a policy that counts connections.
    #[must_use]
    pub fn with_closing(mut self, closing: ClosingPolicy) -> Self {
        self.info.closing = Arc::new(closing);
        self.closing = (!self.info.closing.is_off()).then(|| PoolClosing::new((*self.info.closing).clone()));
        self
    }

    /// Returns the name of the pool.
    pub fn name(&self) -> &Name {
        &self.info.spec.name
    }

    /// Returns the facts that do not change: description, method and source of the backends.
    pub fn info(&self) -> &PoolInfo {
        &self.info
    }

    /// Reports that this pool is served from now on.
    pub(crate) fn announce(&self, observer: &mut dyn Observer) {
        observer.on(&Event::PoolAdded { pool: &self.info });
        self.policy.announce(self.name(), observer);
    }

    /// Takes the place of `before`, whose desired state stays in use until this pool knows its own backends.
    pub(crate) fn replace(&mut self, before: &mut Self) {
        self.inherited = before.desired();
        self.policy.replace(&mut before.policy);
        if let Some(inherited) = &self.inherited {
            self.policy.inherit(&inherited.decision);
        }
        if let (Some(before), Some(closing)) = (&before.closing, &mut self.closing) {
            *closing = PoolClosing::replacing(before, closing.policy().clone());
        }
    }

    /// Takes over the backends that Traefik has from an earlier process, unless the own ones are known. Returns whether it
    /// does.
    ///
    /// They are taken in turn, whatever their weights were: those suited the counts of that time.
    pub(crate) fn inherit(&mut self, members: &[Member]) -> bool {
        if self.desired().is_some() {
            return false;
        }
        let mut shares: BTreeMap<SocketAddr, u8> = BTreeMap::new();
        for member in members {
            let shares = shares.entry(member.address).or_default();
            *shares = shares.saturating_add(1);
        }
        let backend = |(address, shares): (&SocketAddr, &u8)| {
            Backend::new(*address, State::Ready).with_capacity(Capacity::try_from(*shares).unwrap_or_default())
        };
        let backends = Arc::new(shares.iter().map(backend).collect::<BackendSet>());
        let decision = RoundRobin::new().decide(&backends);
        self.policy.inherit(&decision);
        self.inherited = Some(Desired::new(Arc::clone(&self.info.spec), backends, decision));
        true
    }

    /// Waits for something that may change the desired state. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> PoolWakeUp {
        tokio::select! {
            biased;
            Some(set) = self.sets.next() => PoolWakeUp::Discovered(set),
            wake_up = self.policy.next() => PoolWakeUp::Counting(wake_up),
        }
    }

    /// Takes in what [`next`](Self::next) returned.
    pub(crate) fn handle(&mut self, wake_up: PoolWakeUp, observer: &mut dyn Observer) {
        match wake_up {
            PoolWakeUp::Discovered(Ok(update)) => {
                // A source that is stale in part publishes each set together with the error.
                let next = self.sets.next().now_or_never().flatten();
                self.discovered(update, next.as_ref().and_then(|next| next.as_ref().err()), observer);
                if let Some(next) = next {
                    self.handle(PoolWakeUp::Discovered(next), observer);
                }
            }
            PoolWakeUp::Discovered(Err(error)) => {
                if let Some(closing) = &mut self.closing {
                    closing.stale();
                }
                observer.on(&Event::DiscoveryStale { pool: self.name(), error: &error });
            }
            PoolWakeUp::Counting(wake_up) => {
                self.is_due = true;
                if let (Some(closing), CountingWakeUp::Sampled(Ok(taken))) = (&mut self.closing, &wake_up) {
                    closing.sampled(taken);
                }
                self.policy.handle(wake_up, &self.info.spec.name, observer);
            }
        }
    }

    fn discovered(&mut self, update: Update, stale: Option<&ilb_discovery::Error>, observer: &mut dyn Observer) {
        let set = self.info.spec.shares.apply(update.set);
        let previous = self.seen.replace(Arc::clone(&set));
        self.is_undecided = true;
        if let Some(closing) = &mut self.closing {
            closing.discovered(&set, update.left_selector, stale.is_none());
        }
        observer.on(&Event::Discovered { pool: self.name(), set: &set, previous: previous.as_deref(), stale });
    }

    /// Passes the last set to the policy, unless it knows it already. Of the sets that arrive during a push only the last
    /// matters, so the caller calls this when a decision about it can be pushed.
    /// Returns `true` if there was a set to pass.
    pub(crate) fn take_in_set(&mut self) -> bool {
        let Some(set) = self.seen.as_ref().filter(|_| std::mem::take(&mut self.is_undecided)) else { return false };
        self.is_due = true;
        self.policy.set_backends(set);
        self.ready = Some(Arc::new(set.ready()));
        true
    }

    /// Returns the backends of the last set; `None` before the first.
    pub(crate) fn backends(&self) -> Option<&BackendSet> {
        self.seen.as_deref()
    }

    /// Takes in which backends other pools have, too.
    pub(crate) fn set_shared(&mut self, shared: &BTreeSet<SocketAddr>, observer: &mut dyn Observer) {
        self.policy.set_shared(shared);
        if std::mem::replace(&mut self.shared, shared.len()) != shared.len() {
            observer.on(&Event::BackendsShared { pool: self.name(), backends: shared.len() });
        }
    }

    /// Starts the counting and probing that is due, and decides by what the policy knows now.
    pub(crate) fn advance(&mut self, observer: &mut dyn Observer) {
        if let Some(closing) = &self.closing {
            self.is_due |= self.policy.set_closing_needs(closing.needs());
        }
        // The policy itself wakes this pool up when time alone makes something due.
        if !std::mem::take(&mut self.is_due) {
            return;
        }
        let decided = self.policy.advance(&self.info.spec.name, observer);
        if let Some(decision) = &decided
            && !self.decided.as_ref().is_some_and(|before| Arc::ptr_eq(before, decision))
        {
            observer.on(&Event::Decided { pool: self.name(), decision });
            self.inherited = None;
        }
        self.decided = decided;
    }

    /// Returns the state that should be in force; `None` as long as too little is known.
    pub(crate) fn desired(&self) -> Option<Desired> {
        let spec = Arc::clone(&self.info.spec);
        match (&self.ready, &self.decided, &self.inherited) {
            (Some(backends), Some(decision), _) => Some(Desired::new(spec, Arc::clone(backends), Arc::clone(decision))),
            (_, _, Some(before)) => Some(Desired { spec, ..before.clone() }),
            _ => None,
        }
    }

    /// Requests a plan for the present counts, because Traefik is about to start its round robin from the top.
    pub(crate) fn renew(&mut self) {
        self.is_due = true;
        self.policy.renew();
    }

    /// Requests fresh counts and a plan for them, because what was decided before is not in force.
    pub(crate) fn recount(&mut self) {
        self.is_due = true;
        self.policy.recount();
    }

    /// Takes part in the exchange with the siblings as this replica.
    pub(crate) fn set_replica(&mut self, replica: ReplicaId) {
        self.policy.set_replica(replica);
        if let Some(closing) = &mut self.closing {
            closing.together().set_replica(replica);
        }
    }

    /// Takes in which siblings are heard; `None` if not all that are listed are.
    pub(crate) fn siblings_heard(&mut self, siblings: Option<&BTreeSet<ReplicaId>>) {
        if let Some(closing) = &mut self.closing {
            closing.together().siblings_heard(siblings);
        }
    }

    /// Returns the report for the siblings; `None` if this replica takes no part.
    pub(crate) fn report(&self) -> Option<Report> {
        let closed = self.closing.as_ref().map_or(0, PoolClosing::closed_on_purpose);
        self.policy.report().map(|report| report.with_closed_on_purpose(closed))
    }

    /// Takes in the report of a sibling.
    pub(crate) fn sibling_reported(&mut self, report: Report) -> Heard {
        let for_closing = self.closing.is_some().then(|| report.clone());
        let heard = self.policy.sibling_reported(report);
        self.is_due |= heard == Heard::News;
        if let (Some(closing), Some(report), Heard::News | Heard::Unchanged) = (&mut self.closing, for_closing, heard) {
            closing.together().sibling_reported(&report, Instant::now().into_std());
        }
        heard
    }

    /// Takes in that a sibling no longer takes part in this pool.
    pub(crate) fn sibling_left(&mut self, replica: ReplicaId) {
        self.is_due |= self.policy.sibling_left(replica);
        if let Some(closing) = &mut self.closing {
            closing.together().sibling_left(replica);
        }
    }

    /// Returns `true` if a push should wait for counts that are about to be taken.
    pub(crate) fn awaits_counts(&self) -> bool {
        self.policy.awaits_counts()
    }

    /// Takes in that `desired` is in force, after a push of this duration.
    pub(crate) fn acknowledged(&mut self, desired: &Desired, took: Duration) {
        self.is_due = true;
        self.policy.acknowledged(&desired.decision, took);
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("info", &self.info)
            .field("policy", &self.policy)
            .field("seen", &self.seen)
            .finish_non_exhaustive()
    }
}
