use std::{pin::Pin, sync::Arc};

use futures_util::{Stream, StreamExt};
use ilb_discovery::{Backend, BackendSet, Capacity};
use ilb_traefik_client::{Configuration, Member, Name, ProxyProtocol, TcpPool, Timeouts};

use crate::{
    balancing::{Balancing, Choice},
    observe::{insight::PoolInsight, log::PoolReport},
};

/// What a pool is besides its backends.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Frame {
    pub(crate) name: Name,
    pub(crate) entry_point: Name,
    pub(crate) timeouts: Timeouts,
    pub(crate) proxy_protocol: Option<ProxyProtocol>,
    /// Whether each backend takes one share, whatever discovery says.
    pub(crate) equal_shares: bool,
}

/// What discovery says, set by set.
pub(crate) type Sets = Pin<Box<dyn Stream<Item = Result<Arc<BackendSet>, ilb_discovery::Error>> + Send>>;

/// One pool: follows its backends, and knows what should be in force for them.
pub(crate) struct Pool {
    frame: Arc<Frame>,
    sets: Sets,
    balancing: Balancing,
    report: PoolReport,
    insight: PoolInsight,
    /// The set seen last, whatever the states of its backends.
    seen: Option<Arc<BackendSet>>,
    /// Those of it that may take new connections.
    ready: Option<Arc<BackendSet>>,
    /// What was wished before this pool took the place of another, until it knows better.
    inherited: Option<Wish>,
}

/// What should be in force for one pool.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wish {
    pub(super) frame: Arc<Frame>,
    /// The backends that may take new connections.
    pub(super) backends: Arc<BackendSet>,
    pub(super) choice: Choice,
}

impl Pool {
    pub(crate) fn new(frame: Frame, sets: Sets, balancing: Balancing, insight: PoolInsight) -> Self {
        let report = PoolReport::of(&frame.name);
        let frame = Arc::new(frame);
        Self { frame, sets, balancing, report, insight, seen: None, ready: None, inherited: None }
    }

    pub(crate) fn name(&self) -> &Name {
        &self.frame.name
    }

    /// Takes the place of `before`: what was in force for it stays so until this pool knows its own backends.
    pub(super) fn replace(&mut self, before: &mut Self) {
        self.inherited = before.wish();
    }

    /// Waits for something that may change the wish, and takes it in.
    pub(super) async fn changed(&mut self) {
        tokio::select! {
            biased;
            Some(news) = self.sets.next() => self.discovered(news),
            () = self.balancing.changed() => {}
        }
    }

    /// What should be in force; `None` as long as too little is known. Starts the counting and probing that is due.
    pub(super) fn wish(&mut self) -> Option<Wish> {
        let own = self.ready.as_ref().zip(self.balancing.choose());
        match own {
            Some((backends, choice)) => {
                self.inherited = None;
                Some(Wish { frame: Arc::clone(&self.frame), backends: Arc::clone(backends), choice })
            }
            None => self.inherited.as_ref().map(|before| Wish { frame: Arc::clone(&self.frame), ..before.clone() }),
        }
    }

    /// Waits until enough is known, and adds what should be in force to `configuration`, as if to push it.
    pub(crate) async fn plan(&mut self, configuration: &mut Configuration) {
        let wish = loop {
            match self.wish() {
                Some(wish) => break wish,
                None => self.changed().await,
            }
        };
        self.insight.planned(&wish.choice);
        wish.add_to(configuration);
    }

    /// Traefik is about to begin every pool's round robin anew: the plan should be one for the counts of this moment.
    pub(super) fn refresh(&mut self) {
        self.balancing.refresh();
    }

    /// This wish is proved to be in force, after a push that took so long.
    pub(super) fn acknowledged(&mut self, wish: &Wish, took: std::time::Duration) {
        self.balancing.acknowledged(&wish.choice, took);
    }

    fn discovered(&mut self, news: Result<Arc<BackendSet>, ilb_discovery::Error>) {
        match news {
            Ok(set) => {
                let set = if self.frame.equal_shares { Arc::new(equal(&set)) } else { set };
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
}

impl Wish {
    pub(super) fn add_to(&self, configuration: &mut Configuration) {
        let Frame { name, entry_point, timeouts, proxy_protocol, .. } = &*self.frame;
        let members = self.choice.plan().entries().iter().map(|entry| Member::new(entry.address, entry.weight));
        let mut pool = TcpPool::new(name.clone(), entry_point.clone()).timeouts(*timeouts).members(members);
        if let Some(version) = proxy_protocol {
            pool = pool.proxy_protocol(*version);
        }
        pool.add_to(configuration);
    }
}

/// The same backends with one share each.
fn equal(set: &BackendSet) -> BackendSet {
    set.iter().map(|backend: &Backend| backend.clone().with_capacity(Capacity::default())).collect()
}
