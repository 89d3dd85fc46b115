//! The task that asks the siblings.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    time::Duration,
};

use futures_util::{
    FutureExt, Stream, StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream, FuturesUnordered},
};
use ilb_reconciler::siblings::ReplicaId;
use tokio::time::{Instant, sleep_until};

use crate::{
    client::Line,
    event::SiblingEvent,
    members::{Asked, Members},
    problem::Problem,
    wire::Answer,
};

/// Asks the siblings for their reports, again and again, and returns what happens.
///
/// `addresses` are complete lists of where they are, which may contain the address of this replica, whose identity is
/// `own`. Each is asked every 250 ms, or less often if that costs more than 1/400 of a core. Whatever a sibling answers, or
/// does not, costs bounded time and memory, and changes nothing for the others.
///
/// The stream does the work when it is polled. It never ends, and dropping it stops everything.
pub fn poll(
    own: ReplicaId,
    addresses: impl Stream<Item = BTreeSet<SocketAddr>> + Send + 'static,
) -> impl Stream<Item = SiblingEvent> + Send + 'static {
    let poller = Poller {
        members: Members::new(own),
        addresses: Some(addresses.boxed()),
        lines: BTreeMap::new(),
        questions: FuturesUnordered::new(),
        events: VecDeque::new(),
        too_many: 0,
    };
    stream::unfold(poller, |mut poller| async { Some((poller.next().await, poller)) })
}

/// Draws an identity at random, as each replica does when it starts.
pub fn draw_identity() -> ReplicaId {
    ReplicaId::new(fastrand::u128(..))
}

struct Poller {
    members: Members,
    /// The lists of addresses, until they end.
    addresses: Option<BoxStream<'static, BTreeSet<SocketAddr>>>,
    /// Connections that are not in use.
    lines: BTreeMap<SocketAddr, Line>,
    questions: FuturesUnordered<BoxFuture<'static, (Asked, Line)>>,
    events: VecDeque<SiblingEvent>,
    /// Number of addresses that are not asked.
    too_many: usize,
}

/// Processor time of a question and its answer apart from the parsing, which is measured. An estimate: twice what both ends take
/// on bare sockets.
const COST_OF_A_QUESTION: Duration = Duration::from_micros(60);

impl Poller {
    async fn next(&mut self) -> SiblingEvent {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            for address in self.members.take_due(Instant::now().into_std()) {
                let line = self.lines.remove(&address).unwrap_or_else(|| Line::new(address));
                self.questions.push(question(address, line).boxed());
            }
            let due = self.members.next_due().map(Instant::from_std);
            tokio::select! {
                biased;
                addresses = next_list(&mut self.addresses) => self.list(addresses),
                Some((asked, line)) = self.questions.next() => {
                    if self.members.is_listed(asked.address) {
                        self.lines.insert(asked.address, line);
                    }
                    self.events.extend(self.members.asked(asked, jitter()));
                }
                () = until(due) => {}
            }
        }
    }

    fn list(&mut self, addresses: Option<BTreeSet<SocketAddr>>) {
        let Some(addresses) = addresses else {
            // The last list remains.
            self.addresses = None;
            return;
        };
        self.lines.retain(|address, _| addresses.contains(address));
        let (events, too_many) = self.members.list(addresses, Instant::now().into_std());
        self.events.extend(events);
        if std::mem::replace(&mut self.too_many, too_many) != too_many && too_many > 0 {
            tracing::warn!(not_asked = too_many, "there are too many siblings: not all of them are asked");
        }
    }
}

/// Asks once.
async fn question(address: SocketAddr, mut line: Line) -> (Asked, Line) {
    let started = Instant::now().into_std();
    let text = line.ask().await;
    let ended = Instant::now().into_std();
    let result = text.and_then(|text| parse(&text));
    (Asked { address, started, ended, result }, line)
}

/// Parses an answer, and returns what it has cost.
fn parse(text: &[u8]) -> Result<(Answer, Duration), Problem> {
    let begun = std::time::Instant::now();
    let answer = Answer::parse(text)?;
    Ok((answer, COST_OF_A_QUESTION + begun.elapsed()))
}

/// Returns a factor within 10 % of 1, so that replicas that started together do not ask together.
fn jitter() -> f64 {
    0.9 + 0.2 * fastrand::f64()
}

/// Waits for the next list; without any more it never returns.
async fn next_list(addresses: &mut Option<BoxStream<'static, BTreeSet<SocketAddr>>>) -> Option<BTreeSet<SocketAddr>> {
    match addresses {
        Some(addresses) => addresses.next().await,
        None => std::future::pending().await,
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
