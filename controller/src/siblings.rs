//! The exchange with the siblings: what they report goes to the pools, and what the pools count to the siblings.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::SocketAddr,
    time::Duration,
};

use futures_util::{StreamExt, stream::BoxStream};
use ilb_reconciler::{
    Method,
    siblings::{Heard, Ignored, ReplicaId},
};
use ilb_siblings::{OwnReports, SiblingEvent};
use ilb_traefik_client::Name;
use tokio::{sync::watch, time::Instant};

use crate::{
    event::{Event, Observer},
    pool::Pool,
};

/// Maximum time for which the first push waits.
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(1);

/// The exchange of this replica with its siblings.
pub(crate) struct Siblings {
    /// Reports of the pools, for whoever answers the siblings.
    reports: watch::Sender<OwnReports>,
    /// Events of the exchange, until they end.
    events: Option<BoxStream<'static, SiblingEvent>>,
    wait: Wait,
    has_reports: bool,
    /// Siblings that are heard, by address.
    heard: BTreeMap<SocketAddr, ReplicaId>,
    /// True while all that are listed are heard.
    is_complete: bool,
}

/// State of the wait before the first push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    Until(Instant),
    /// The wait has just ended.
    Ended,
    Over,
}

impl Siblings {
    pub(crate) fn new(reports: watch::Sender<OwnReports>, events: BoxStream<'static, SiblingEvent>) -> Self {
        Self {
            reports,
            events: Some(events),
            wait: Wait::Over,
            has_reports: false,
            heard: BTreeMap::new(),
            is_complete: false,
        }
    }

    /// Begins to wait, and lets these pools take part.
    pub(crate) fn begin(&mut self, pools: &mut BTreeMap<Name, Pool>) {
        self.wait = Wait::Until(Instant::now() + MAX_WAIT);
        for pool in pools.values_mut() {
            self.add(pool);
        }
    }

    /// Lets a pool take part.
    pub(crate) fn add(&self, pool: &mut Pool) {
        let replica = self.reports.borrow().replica();
        pool.set_replica(replica);
        pool.siblings_heard(self.all_heard().as_ref());
    }

    /// Returns the siblings; `None` if one that is listed is not heard.
    fn all_heard(&self) -> Option<BTreeSet<ReplicaId>> {
        self.is_complete.then(|| self.heard.values().copied().collect())
    }

    /// Takes in who is heard, and lets the pools know.
    fn note(&mut self, event: &SiblingEvent, pools: &mut BTreeMap<Name, Pool>) {
        match event {
            SiblingEvent::Heard { address, replica } => {
                self.heard.insert(*address, *replica);
            }
            SiblingEvent::Lost { address, .. } | SiblingEvent::Left { address, .. } => {
                self.heard.remove(address);
            }
            SiblingEvent::Complete { is_complete } => self.is_complete = *is_complete,
            _ => return,
        }
        let heard = self.all_heard();
        for pool in pools.values_mut() {
            pool.siblings_heard(heard.as_ref());
        }
    }

    /// Returns the moment until which the first push waits; `None` if it does not.
    pub(crate) fn waits_until(&mut self, now: Instant) -> Option<Instant> {
        match self.wait {
            Wait::Until(until) if until > now => Some(until),
            Wait::Until(_) => {
                self.wait = Wait::Ended;
                None
            }
            Wait::Ended | Wait::Over => None,
        }
    }

    /// Returns `true` while the first push waits.
    pub(crate) fn is_awaited(&self) -> bool {
        matches!(self.wait, Wait::Until(_))
    }

    /// Returns `true` once, at the end of the wait, if there were reports.
    pub(crate) fn has_just_heard(&mut self) -> bool {
        let has_ended = self.wait == Wait::Ended;
        if has_ended {
            self.wait = Wait::Over;
        }
        has_ended && self.has_reports
    }

    /// Publishes the last sample of a pool.
    pub(crate) fn publish(&self, pool: &Pool) {
        let (name, now) = (pool.name().as_str(), Instant::now().into_std());
        let report = pool.report();
        self.reports.send_if_modified(|reports| reports.set(name, report, now));
    }

    /// Publishes that only these pools are left.
    pub(crate) fn retain(&self, pools: &BTreeMap<Name, Pool>) {
        let counted = pools.values().filter(|pool| pool.info().method == Method::LeastConnections);
        let names: BTreeSet<&str> = counted.map(|pool| pool.name().as_str()).collect();
        let now = Instant::now().into_std();
        self.reports.send_if_modified(|reports| reports.retain(&names, now));
    }

    /// Takes in an event of the exchange.
    pub(crate) fn handle(
        &mut self,
        event: SiblingEvent,
        pools: &mut BTreeMap<Name, Pool>,
        observer: &mut dyn Observer,
    ) {
        self.note(&event, pools);
        match event {
            SiblingEvent::Reported { replica, pools: mut reports, at } => {
                self.has_reports = true;
                let waited = Instant::now().into_std().saturating_duration_since(at);
                for (name, pool) in pools {
                    let Some(report) = reports.remove(name.as_str()) else {
                        pool.sibling_left(replica);
                        continue;
                    };
                    match pool.sibling_reported(report.delayed(waited)) {
                        Heard::Ignored(Ignored::NotSharing) => {}
                        Heard::Ignored(cause) => {
                            observer.on(&Event::ReportIgnored { pool: name, replica, cause });
                        }
                        _ => {}
                    }
                }
            }
            SiblingEvent::Left { replica: Some(replica), .. } => {
                for pool in pools.values_mut() {
                    pool.sibling_left(replica);
                }
            }
            SiblingEvent::AllAsked if self.is_awaited() => self.wait = Wait::Ended,
            _ => {}
        }
    }
}

impl fmt::Debug for Siblings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Siblings").field("wait", &self.wait).finish_non_exhaustive()
    }
}

/// Waits for the next event of the exchange; without one it never returns.
pub(crate) async fn heard(siblings: &mut Option<Siblings>) -> SiblingEvent {
    if let Some(siblings) = siblings
        && let Some(events) = &mut siblings.events
    {
        match events.next().await {
            Some(event) => return event,
            None => siblings.events = None,
        }
    }
    std::future::pending().await
}
