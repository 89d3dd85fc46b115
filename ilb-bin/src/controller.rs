mod pool;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::{
    FutureExt,
    future::{BoxFuture, select_all},
};
use ilb_discovery::BackendSet;
use ilb_reconciler::{Failure, Next, Pushes, reconcile};
use ilb_traefik_client::{Applied, Certificate, ConfigSink, Configuration, Name};
use tokio::{
    sync::mpsc,
    time::{self, Instant},
};

use self::pool::Wish;
pub(crate) use self::pool::{Frame, Pool, Sets};
use crate::observe::{
    insight::{Insight, Part},
    log::Report,
};

/// The one task that owns the state: it takes in what the pools see, has pushed what should be in force, and has proved
/// that it still is.
pub(crate) struct Controller {
    pools: BTreeMap<Name, Pool>,
    /// Other pools, when settings change.
    changes: mpsc::Receiver<PoolChanges>,
    certificate: Certificate,
    sink: Arc<dyn ConfigSink>,
    report: Report,
    insight: Insight,
    /// Until when the first push waits for pools whose backends are not known; `None` after it.
    first_push: Option<Instant>,
    pushes: Pushes<Wishes>,
    /// The proof of the last push, for as long as it holds.
    applied: Option<Applied>,
    /// What is under way with Traefik: one thing at a time.
    work: Option<BoxFuture<'static, Done>>,
}

/// Which pools go and come. One that comes under the name of another takes its place.
pub(crate) struct PoolChanges {
    pub(crate) gone: Vec<Name>,
    pub(crate) new: Vec<Pool>,
}

/// What should be in force: one configuration holds all pools.
type Wishes = BTreeMap<Name, Wish>;

/// How work with Traefik ended.
enum Done {
    Push(Wishes, Result<Applied, ilb_traefik_client::Error>),
    Proof(Result<(), ilb_traefik_client::Error>),
}

impl Controller {
    /// A push replaces everything that Traefik has from us. After a restart of ilb Traefik still serves all pools, so the
    /// first push waits so long for those whose backends are not known yet, rather than take them out of service.
    const FIRST_PUSH_WAITS: Duration = Duration::from_secs(10);

    pub(crate) fn new(
        pools: impl IntoIterator<Item = Pool>,
        changes: mpsc::Receiver<PoolChanges>,
        certificate: Certificate,
        sink: Arc<dyn ConfigSink>,
        insight: Insight,
    ) -> Self {
        Self {
            pools: pools.into_iter().map(|pool| (pool.name().clone(), pool)).collect(),
            changes,
            certificate,
            sink,
            report: Report::new(),
            insight,
            first_push: Some(Instant::now() + Self::FIRST_PUSH_WAITS),
            pushes: Pushes::new(),
            applied: None,
            work: None,
        }
    }

    /// Works until `stop` is ready, and then leaves Traefik as it is: a push in flight is dropped, which Traefik either
    /// has taken as a whole or not at all.
    pub(crate) async fn run(mut self, stop: impl Future<Output = &'static str>) {
        let mut stop = std::pin::pin!(stop);
        loop {
            self.insight.alive();
            let wake_up = self.advance();
            tokio::select! {
                biased;
                signal = &mut stop => return Report::stopping(signal),
                done = finished(&mut self.work) => self.done(done),
                Some(changes) = self.changes.recv() => self.change(changes),
                () = changed(&mut self.pools) => {}
                () = at(wake_up) => {}
                () = time::sleep(Insight::HEARTBEAT) => {}
            }
        }
    }

    /// Starts what is due. Returns when to look again if nothing else happens.
    fn advance(&mut self) -> Option<Instant> {
        if let Some(wishes) = self.wishes() {
            self.pushes.wish(wishes);
        }
        match self.pushes.next(Instant::now().into_std()) {
            Next::Push(wishes) => {
                self.insight.push_begun(parts(&wishes));
                let (sink, configuration) = (Arc::clone(&self.sink), self.configuration(&wishes));
                self.work = Some(Box::pin(async move { Done::Push(wishes, sink.apply(&configuration).await) }));
                None
            }
            Next::Prove => {
                let applied = self.applied.clone()?;
                let sink = Arc::clone(&self.sink);
                self.work = Some(Box::pin(async move { Done::Proof(sink.verify(&applied).await) }));
                None
            }
            Next::WaitUntil(moment) => Some(moment.into()),
            Next::Idle => None,
        }
    }

    /// What should be in force; `None` as long as nothing should be pushed. A pool of which too little is known is not
    /// part of it.
    fn wishes(&mut self) -> Option<Wishes> {
        let wishes = self.look();
        let waiting = self.first_push.is_some_and(|until| Instant::now() < until) && wishes.len() < self.pools.len();
        if wishes.is_empty() || waiting {
            return None;
        }
        self.first_push = None;
        let unchanged = self.pushes.in_flight() || self.pushes.acknowledged().is_none_or(|before| *before == wishes);
        if unchanged || wishes.len() < 2 {
            return Some(wishes);
        }
        // One pool's push lets Traefik begin the round robin of all anew.
        let before = self.pushes.acknowledged().cloned().unwrap_or_default();
        for (name, pool) in &mut self.pools {
            if before.get(name) == wishes.get(name) {
                pool.refresh();
            }
        }
        Some(self.look())
    }

    fn look(&mut self) -> Wishes {
        let wish = |(name, pool): (&Name, &mut Pool)| Some((name.clone(), pool.wish()?));
        self.pools.iter_mut().filter_map(wish).collect()
    }

    fn configuration(&self, wishes: &Wishes) -> Configuration {
        let mut configuration = Configuration::default();
        configuration.set_default_certificate(self.certificate.clone());
        for wish in wishes.values() {
            wish.add_to(&mut configuration);
        }
        configuration
    }

    fn change(&mut self, changes: PoolChanges) {
        for name in &changes.gone {
            self.pools.remove(name);
        }
        for mut pool in changes.new {
            let name = pool.name().clone();
            if let Some(before) = self.pools.get_mut(&name) {
                pool.replace(before);
            }
            self.pools.insert(name, pool);
        }
    }

    fn done(&mut self, done: Done) {
        let now = Instant::now().into_std();
        match done {
            Done::Push(wishes, Ok(applied)) => {
                let nothing = (BackendSet::empty(), Wishes::new());
                let before = self.pushes.acknowledged().unwrap_or(&nothing.1);
                let old = |name: &Name| before.get(name).map_or(&nothing.0, |wish| &*wish.backends);
                let rows = wishes.iter().map(|(name, wish)| (name, reconcile(old(name), &wish.backends), wish));
                let rows = rows.map(|(name, action, wish)| (name, action, wish.backends.len(), &wish.choice));
                self.report.updated(&applied, rows);
                self.insight.pushed(parts(&wishes), &applied);
                for (name, wish) in &wishes {
                    if let Some(pool) = self.pools.get_mut(name) {
                        pool.acknowledged(wish, applied.took);
                    }
                }
                self.pushes.succeeded(now);
                self.applied = Some(applied);
            }
            Done::Push(_, Err(error)) => {
                self.report.failed(&error);
                self.insight.push_failed(&error);
                let failure = if error.is_retryable() { Failure::Retryable } else { Failure::Permanent };
                self.pushes.failed(failure, now);
                self.applied = None;
            }
            Done::Proof(Ok(())) => {
                self.insight.proved();
                self.pushes.proved(now);
            }
            Done::Proof(Err(error)) => {
                Report::lost(&error);
                self.insight.lost(&error);
                self.pushes.lost();
                self.applied = None;
            }
        }
    }
}

fn parts(wishes: &Wishes) -> impl Iterator<Item = Part<'_>> {
    wishes.iter().map(|(pool, wish)| Part { pool, choice: &wish.choice, backends: &wish.backends })
}

/// Waits until one of the pools has changed.
async fn changed(pools: &mut BTreeMap<Name, Pool>) {
    if pools.is_empty() {
        std::future::pending::<()>().await;
    }
    select_all(pools.values_mut().map(|pool| pool.changed().boxed())).await;
}

/// Waits for `work` to end, and takes it away; for ever if there is none.
async fn finished(work: &mut Option<BoxFuture<'static, Done>>) -> Done {
    match work {
        None => std::future::pending().await,
        Some(running) => {
            let done = running.await;
            *work = None;
            done
        }
    }
}

/// Sleeps until `moment`, or for ever.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
