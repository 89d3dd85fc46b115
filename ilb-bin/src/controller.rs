use std::sync::Arc;

use futures_util::{Stream, StreamExt, future::BoxFuture};
use ilb_discovery::BackendSet;
use ilb_reconciler::{Failure, Next, Plan, Pushes, reconcile};
use ilb_traefik_client::{Applied, Certificate, ConfigSink, Configuration, Member, Name, TcpPool, Timeouts};
use tokio::time::{self, Instant};

use crate::{
    balancing::{Balancing, Choice},
    insight::{Insight, PoolInsight},
    report::Report,
};

/// What a pool is besides its backends.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    pub(crate) name: Name,
    pub(crate) entry_point: Name,
    pub(crate) timeouts: Timeouts,
}

/// The one task that owns the state: it takes in what discovery sees, has pushed what should be in force, and has proved
/// that it still is.
pub(crate) struct Controller<S> {
    pool: Pool,
    certificate: Certificate,
    sink: Arc<S>,
    balancing: Balancing,
    report: Report,
    insight: PoolInsight,
    /// The set seen last, whatever the states of its backends.
    seen: Option<Arc<BackendSet>>,
    /// Those of it that may take new connections.
    ready: Option<Arc<BackendSet>>,
    pushes: Pushes<Wish>,
    /// The proof of the last push, for as long as it holds.
    applied: Option<Applied>,
    /// What is under way with Traefik: one thing at a time.
    work: Option<BoxFuture<'static, Done>>,
}

/// What should be in force.
#[derive(Clone, Debug, PartialEq)]
struct Wish {
    /// The backends that may take new connections.
    backends: Arc<BackendSet>,
    choice: Choice,
}

/// How work with Traefik ended.
enum Done {
    Push(Wish, Result<Applied, ilb_traefik_client::Error>),
    Proof(Result<(), ilb_traefik_client::Error>),
}

impl<S: ConfigSink> Controller<S> {
    pub(crate) fn new(
        pool: Pool,
        certificate: Certificate,
        sink: Arc<S>,
        balancing: Balancing,
        insight: PoolInsight,
    ) -> Self {
        Self {
            pool,
            certificate,
            sink,
            balancing,
            report: Report::default(),
            insight,
            seen: None,
            ready: None,
            pushes: Pushes::new(),
            applied: None,
            work: None,
        }
    }

    /// Works until `stop` is ready, and then leaves Traefik as it is: a push in flight is dropped, which Traefik either
    /// has taken as a whole or not at all.
    pub(crate) async fn run(
        mut self,
        mut sets: impl Stream<Item = Result<Arc<BackendSet>, ilb_discovery::Error>> + Unpin,
        stop: impl Future<Output = &'static str>,
    ) {
        let mut stop = std::pin::pin!(stop);
        loop {
            self.insight.alive();
            let wake_up = self.advance();
            tokio::select! {
                biased;
                signal = &mut stop => return Report::stopping(signal),
                done = finished(&mut self.work) => self.done(done),
                Some(news) = sets.next() => self.discovered(news),
                () = self.balancing.changed() => {}
                () = at(wake_up) => {}
                () = time::sleep(Insight::HEARTBEAT) => {}
            }
        }
    }

    /// Starts what is due. Returns when to look again if nothing else happens.
    fn advance(&mut self) -> Option<Instant> {
        if let (Some(set), Some(choice)) = (&self.ready, self.balancing.choose()) {
            self.pushes.wish(Wish { backends: Arc::clone(set), choice });
        }
        match self.pushes.next(Instant::now().into_std()) {
            Next::Push(wish) => {
                self.insight.push_begun(&wish.choice);
                let (sink, configuration) = (Arc::clone(&self.sink), self.configuration(wish.choice.plan()));
                self.work = Some(Box::pin(async move { Done::Push(wish, sink.apply(&configuration).await) }));
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

    fn configuration(&self, plan: &Plan) -> Configuration {
        let mut configuration = Configuration::default();
        configuration.set_default_certificate(self.certificate.clone());
        TcpPool::new(self.pool.name.clone(), self.pool.entry_point.clone())
            .timeouts(self.pool.timeouts)
            .members(plan.entries().iter().map(|entry| Member::new(entry.address, entry.weight)))
            .add_to(&mut configuration);
        configuration
    }

    fn discovered(&mut self, news: Result<Arc<BackendSet>, ilb_discovery::Error>) {
        match news {
            Ok(set) => {
                self.report.found(&set, self.seen.as_ref() != Some(&set));
                self.insight.found(&set);
                self.balancing.backends(&set);
                self.ready = Some(Arc::new(set.ready()));
                self.seen = Some(set);
            }
            Err(error) => {
                self.report.stale(&error);
                self.insight.stale(&error);
            }
        }
    }

    fn done(&mut self, done: Done) {
        let now = Instant::now().into_std();
        match done {
            Done::Push(wish, Ok(applied)) => {
                let nothing = BackendSet::empty();
                let before = self.pushes.acknowledged().map_or(&nothing, |wish| &wish.backends);
                self.report.updated(&applied, &reconcile(before, &wish.backends), wish.backends.len(), &wish.choice);
                self.insight.pushed(&wish.choice, &wish.backends, &applied);
                self.balancing.acknowledged(&wish.choice, applied.took);
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
