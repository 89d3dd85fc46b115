//! Promises of looking at connections: it costs little, however many look.

use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::future::join_all;

use super::*;
use crate::observe::connections::snapshot::tests::table;

/// A source that counts how often it is asked.
#[derive(Default)]
struct Counted {
    reads: AtomicU32,
    forgotten: AtomicU32,
    fails: bool,
}

#[async_trait]
impl Source for Counted {
    async fn read(&self, _: Vec<FlowPool>) -> Result<FlowTable, String> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        if self.fails { Err("no netlink".to_owned()) } else { Ok(table(6)) }
    }

    fn entry_point(&self, _: &str) -> Option<EntryPoint> {
        None
    }

    fn forget(&self) {
        self.forgotten.fetch_add(1, Ordering::Relaxed);
    }
}

fn with_source(source: Counted) -> (ConnectionTable, Arc<Counted>) {
    let (table, source) = (ConnectionTable::new(Insight::new()), Arc::new(source));
    table.set_source(Ok(Arc::clone(&source) as Arc<dyn Source>));
    (table, source)
}

#[tokio::test(start_paused = true)]
async fn hundreds_who_look_share_one_read_a_second() {
    let (table, source) = with_source(Counted::default());
    let query = Query::default();
    let begun = Instant::now();
    let pages = join_all((0..300).map(|_| table.page(&query))).await;
    assert!(pages.iter().all(|page| page.as_ref().unwrap().total == 6));
    let seconds = u32::try_from(begun.elapsed().as_secs()).unwrap();
    assert!(source.reads.load(Ordering::Relaxed) <= 1 + seconds);
    tokio::time::advance(MIN_PAUSE).await;
    table.page(&query).await.unwrap();
    assert!(source.reads.load(Ordering::Relaxed) >= 2, "what is shown is not old");
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_while_nobody_looks_and_all_is_forgotten() {
    let (table, source) = with_source(Counted::default());
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!(source.reads.load(Ordering::Relaxed), 0);
    table.page(&Query::default()).await.unwrap();
    let reads = source.reads.load(Ordering::Relaxed);
    tokio::time::sleep(2 * MEMORY + Duration::from_secs(1)).await;
    assert_eq!((source.reads.load(Ordering::Relaxed), source.forgotten.load(Ordering::Relaxed)), (reads, 1));
    assert!(table.0.latest.lock().await.snapshot.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_kernel_that_does_not_answer_is_not_asked_again_at_once() {
    let (table, source) = with_source(Counted { fails: true, ..Counted::default() });
    let begun = Instant::now();
    for _ in 0..3 {
        assert_eq!(table.page(&Query::default()).await, Err(Failure::Unreadable("no netlink".to_owned())));
    }
    assert!(begun.elapsed() >= 2 * MIN_PAUSE);
    assert_eq!(source.reads.load(Ordering::Relaxed), 3);
}
