//! The exchange with the siblings: what is taken in, what is published, and what changes without any.

use std::sync::Mutex;

use futures_util::stream;
use ilb_reconciler::{
    Pacing, Reason,
    siblings::{Ignored, ReplicaId, Report},
};
use ilb_siblings::{OwnReports, Problem, Question, SiblingEvent};
use tokio::sync::watch;

use super::*;
use crate::testing::{Counts, address};

const OWN: ReplicaId = ReplicaId::new(1);
const SIBLING: ReplicaId = ReplicaId::new(2);

/// A running controller of pools, of which some are counted, with the exchange in the hands of the test.
struct Sharing {
    discovery: Vec<mpsc::Sender<Published>>,
    counts: Counts,
    changes: mpsc::Sender<PoolChanges>,
    events: mpsc::UnboundedSender<SiblingEvent>,
    reports: watch::Receiver<OwnReports>,
    pushed: mpsc::UnboundedReceiver<(Instant, Reason, Vec<u32>)>,
    ignored: Arc<Mutex<Vec<Ignored>>>,
}

impl Sharing {
    fn start(connections: &[u32], policies: impl IntoIterator<Item = (&'static str, Policy)>) -> Self {
        Self::with_script(&Arc::new(Script::default()), connections, policies)
    }

    fn with_script(
        script: &Arc<Script>,
        connections: &[u32],
        policies: impl IntoIterator<Item = (&'static str, Policy)>,
    ) -> Self {
        let counts = Counts::default();
        counts.set(connections);
        let counted = ("a", Policy::least_connections(counts.counter(), Pacing::default()));
        let pools = [counted].into_iter().chain(policies).map(|(name, policy)| pool(name, name, policy));
        let (pools, discovery) = pools.unzip::<_, _, Vec<_>, _>();
        let (sink, _) = script.sink();
        let (changes, receiver) = mpsc::channel(1);
        let (sender, pushed) = mpsc::unbounded_channel();
        let (events, heard) = mpsc::unbounded_channel();
        let (own, reports) = watch::channel(OwnReports::new(OWN, Instant::now().into_std()));
        let ignored = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&ignored);
        let observer = move |event: &Event<'_>| match event {
            Event::Pushed { desired, .. } => {
                let (_, pool) = desired.first_key_value().unwrap();
                let weights = pool.decision.plan.entries().iter().map(|entry| entry.weight).collect();
                let _ = sender.send((Instant::now(), pool.decision.reason, weights));
            }
            Event::ReportIgnored { cause, .. } => seen.lock().unwrap().push(*cause),
            _ => {}
        };
        let heard = stream::unfold(heard, |mut heard| async { Some((heard.recv().await?, heard)) });
        let controller = Controller::new(Arc::new(sink), pools).with_changes(receiver).with_siblings(own, heard);
        tokio::spawn(controller.with_observer(observer).run(std::future::pending()));
        Self { discovery, counts, changes, events, reports, pushed, ignored }
    }

    /// Starts with one pool of three backends, and lets the sibling be asked.
    async fn alone(connections: &[u32]) -> Self {
        let sharing = Self::start(connections, []);
        sharing.found(0).await;
        sharing.events.send(SiblingEvent::AllAsked).unwrap();
        sharing
    }

    async fn found(&self, pool: usize) {
        self.discovery[pool].send(Ok(set(3))).await.unwrap();
    }

    /// Lets the sibling report these connections of the pool `a`.
    fn hears(&self, sample: u64, connections: &[u32]) {
        let connections = (0..).map(address).zip(connections.iter().copied());
        let report = Report::new(SIBLING, sample, Duration::ZERO, 0, connections);
        self.hears_of([("a".to_owned(), report)].into());
    }

    fn hears_of(&self, pools: BTreeMap<String, Report>) {
        let at = Instant::now().into_std();
        self.events.send(SiblingEvent::Reported { replica: SIBLING, pools, at }).unwrap();
    }

    /// Returns the time, the reason and the head starts of the next push.
    async fn next(&mut self) -> (Instant, Reason, Vec<u32>) {
        let pushed = timeout(Duration::from_secs(60), self.pushed.recv()).await.expect("there is a push");
        let (at, reason, weights) = pushed.unwrap();
        let smallest = weights.iter().min().copied().unwrap_or(0);
        (at, reason, weights.iter().map(|weight| weight - smallest).collect())
    }

    async fn assert_quiet(&mut self) {
        if let Ok(pushed) = timeout(Duration::from_secs(60), self.pushed.recv()).await {
            panic!("there should be no push, but there is {pushed:?}");
        }
    }

    /// Keeps reporting these connections, counted anew each time, until there is a push.
    async fn next_while_hearing(&mut self, first: u64, connections: &[u32]) -> (Instant, Reason, Vec<u32>) {
        let mut sample = first;
        loop {
            self.hears(sample, connections);
            sample += 1;
            if let Ok(pushed) = timeout(Duration::from_millis(250), self.pushed.recv()).await {
                let (at, reason, weights) = pushed.unwrap();
                let smallest = weights.iter().min().copied().unwrap_or(0);
                return (at, reason, weights.iter().map(|weight| weight - smallest).collect());
            }
        }
    }

    fn published(&self) -> String {
        let reports = self.reports.borrow().clone();
        reports.tail(&Question::for_everything()).unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_sibling_reports_leads_new_connections() {
    let mut sharing = Sharing::alone(&[30, 30, 30]).await;
    assert_eq!(sharing.next().await.2, [0, 0, 0]);
    let (_, reason, gaps) = sharing.next_while_hearing(1, &[30, 30, 10]).await;
    assert_eq!((reason, gaps), (Reason::Balance, vec![0, 0, 9]));
}

#[tokio::test(start_paused = true)]
async fn the_first_push_waits_for_the_siblings_and_knows_what_they_report() {
    let start = Instant::now();
    let mut sharing = Sharing::start(&[30, 30, 30], []);
    sharing.found(0).await;
    time::sleep(Duration::from_millis(300)).await;
    sharing.hears(1, &[30, 30, 10]);
    sharing.events.send(SiblingEvent::AllAsked).unwrap();
    let (at, _, gaps) = sharing.next().await;
    assert_eq!((at - start, gaps), (Duration::from_millis(300), vec![0, 0, 9]));
}

#[tokio::test(start_paused = true)]
async fn the_first_push_waits_for_a_second_at_most() {
    let start = Instant::now();
    let mut sharing = Sharing::start(&[7, 0, 4], []);
    sharing.found(0).await;
    let (at, reason, gaps) = sharing.next().await;
    assert_eq!((at - start, reason), (Controller::MAX_WAIT_FOR_SIBLINGS, Reason::Backends));
    assert_eq!(gaps, [0, 7, 3], "without news it is the plan of a replica that is alone");
    sharing.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_sibling_that_left_counts_no_longer_and_one_that_is_lost_does_until_its_counts_are_old() {
    for leaves in [true, false] {
        let mut sharing = Sharing::alone(&[30, 30, 30]).await;
        sharing.next().await;
        sharing.next_while_hearing(1, &[30, 30, 10]).await;
        let ended = Instant::now();
        let at = ([10, 0, 9, 9], 8081).into();
        sharing
            .events
            .send(if leaves {
                SiblingEvent::Left { address: at, replica: Some(SIBLING) }
            } else {
                SiblingEvent::Lost { address: at, replica: Some(SIBLING), problem: Problem::TooLong }
            })
            .unwrap();
        let (at, reason, gaps) = sharing.next().await;
        assert_eq!((reason, gaps), (Reason::Balance, vec![0, 0, 0]));
        assert_eq!(at - ended >= Duration::from_secs(4), !leaves, "{:?}", at - ended);
    }
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_the_sibling_no_longer_has_counts_no_longer() {
    let mut sharing = Sharing::alone(&[30, 30, 30]).await;
    sharing.next().await;
    sharing.next_while_hearing(1, &[30, 30, 10]).await;
    let ended = Instant::now();
    sharing.hears_of(BTreeMap::new());
    let (at, _, gaps) = sharing.next().await;
    assert_eq!(gaps, [0, 0, 0]);
    assert!(at - ended < Duration::from_secs(4));
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_begins_to_count_from_the_start_again_is_heard() {
    let mut sharing = Sharing::alone(&[30, 30, 30]).await;
    sharing.next().await;
    sharing.next_while_hearing(100, &[30, 30, 10]).await;
    let (_, _, gaps) = sharing.next_while_hearing(1, &[10, 30, 30]).await;
    assert_eq!(gaps, [9, 0, 0]);
    assert!(sharing.ignored.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn reports_that_are_ignored_are_told() {
    let sharing = Sharing::alone(&[30, 30, 30]).await;
    let old = Report::new(SIBLING, 1, Duration::from_secs(6), 0, []);
    sharing.hears_of([("a".to_owned(), old.clone()), ("unknown".to_owned(), old)].into());
    time::sleep(Duration::from_secs(1)).await;
    assert_eq!(*sharing.ignored.lock().unwrap(), [Ignored::Old]);
}

#[tokio::test(start_paused = true)]
async fn only_pools_that_are_counted_are_published_and_those_that_are_gone_are_not() {
    let blind = Policy::least_connections_without_counts("of the test", Pacing::default());
    let sharing = Sharing::start(&[7, 0, 4], [("b", Policy::round_robin()), ("c", blind)]);
    for pool in 0..3 {
        sharing.found(pool).await;
    }
    time::sleep(Duration::from_secs(3)).await;
    let published = sharing.published();
    assert!(published.contains(r#""connections":{"10.0.0.0:3333":7,"10.0.0.2:3333":4}}}}"#), "{published}");
    assert!(!published.contains(r#""b""#) && !published.contains(r#""c""#), "{published}");
    sharing.counts.fail();
    time::sleep(Duration::from_secs(3)).await;
    assert_eq!(sharing.published(), r#","pools":{}}"#);
    sharing.counts.set(&[1]);
    time::sleep(Duration::from_secs(3)).await;
    assert!(sharing.published().contains(r#"{"10.0.0.0:3333":1}"#));
    let removed = vec!["a".parse().unwrap()];
    sharing.changes.send(PoolChanges { removed, added: Vec::new() }).await.unwrap();
    time::sleep(Duration::from_secs(1)).await;
    assert_eq!(sharing.published(), r#","pools":{}}"#);
}

#[tokio::test(start_paused = true)]
async fn a_replica_whose_traefik_has_ended_goes_on_counting_and_reporting() {
    let sharing = Sharing::with_script(&Script::failing((0..1000).map(|_| away())), &[7, 0, 4], []);
    sharing.found(0).await;
    time::sleep(Duration::from_secs(30)).await;
    let before = sharing.reports.borrow().sample();
    sharing.counts.set(&[7, 0, 1]);
    time::sleep(Duration::from_secs(3)).await;
    assert!(sharing.reports.borrow().sample() >= before + 2);
    assert!(sharing.published().contains(r#"{"10.0.0.0:3333":7,"10.0.0.2:3333":1}"#), "{}", sharing.published());
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_replaces_another_goes_on_in_the_exchange() {
    let mut sharing = Sharing::alone(&[30, 30, 30]).await;
    sharing.next().await;
    sharing.next_while_hearing(1, &[30, 30, 10]).await;
    let sample = |published: &str| -> u64 {
        let (_, rest) = published.split_once(r#""sample":"#).unwrap();
        rest.split(',').next().unwrap().parse().unwrap()
    };
    let before = sample(&sharing.published());
    let (other, discovery) = pool("a", "a", Policy::least_connections(sharing.counts.counter(), Pacing::default()));
    sharing.changes.send(PoolChanges { removed: Vec::new(), added: vec![other] }).await.unwrap();
    discovery.send(Ok(set(3))).await.unwrap();
    let (_, reason, gaps) = sharing.next().await;
    assert_eq!((reason, gaps), (Reason::Backends, vec![0, 0, 9]), "it has heard of the sibling already");
    let after = sample(&sharing.published());
    assert!(after > before, "{after} after {before}");
}
