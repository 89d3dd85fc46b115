//! The task that asks the siblings.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    sync::Arc,
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
    question::Question,
    wire::Answer,
};

/// Asks the siblings for their reports, again and again, and returns what happens.
///
/// `addresses` are complete lists of where they are, which may contain the address of this replica, whose identity is
/// `own`. Each is asked every 250 ms on average, or less often if that costs more than 1/800 of a core, and answers with what has changed as
/// soon as it has counted again. Whatever a sibling answers, or does not, costs bounded time and memory, and changes nothing for
/// the others.
///
/// The stream does the work when it is polled. It never ends, and dropping it stops everything.
pub fn poll(
    own: ReplicaId,
    addresses: impl Stream<Item = BTreeSet<SocketAddr>> + Send + 'static,
) -> impl Stream<Item = SiblingEvent> + Send + 'static {
    let poller = Poller {
        members: Members::new(own),
        addresses: Some(addresses.boxed()),
        idle: BTreeMap::new(),
        questions: FuturesUnordered::new(),
        events: VecDeque::new(),
        is_complete: false,
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
    /// State of the addresses that are asked nothing at the moment.
    idle: BTreeMap<SocketAddr, Asking>,
    questions: FuturesUnordered<BoxFuture<'static, (Asked, Asking)>>,
    events: VecDeque<SiblingEvent>,
    /// True if the last news was that each address answers.
    is_complete: bool,
    /// Number of addresses that are not asked.
    too_many: usize,
}

/// State that is kept of an address from one question to the next.
struct Asking {
    line: Line,
    /// The last answer, if it was the last thing that was heard.
    known: Option<Arc<Answer>>,
}

impl Asking {
    fn new(address: SocketAddr) -> Self {
        Self { line: Line::new(address), known: None }
    }
}

/// Processor time of a question and its answer apart from the parsing, which is measured. By `make bench-balance`, ten replicas
/// that asked each other 36 times a second took 0.7 % of a core each for both ends on a busy machine, which is 90 µs an end.
const COST_OF_A_QUESTION: Duration = Duration::from_micros(100);

impl Poller {
    async fn next(&mut self) -> SiblingEvent {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            let is_complete = self.members.is_complete();
            if std::mem::replace(&mut self.is_complete, is_complete) != is_complete {
                return SiblingEvent::Complete { is_complete };
            }
            for address in self.members.take_due(Instant::now().into_std()) {
                let asking = self.idle.remove(&address).unwrap_or_else(|| Asking::new(address));
                self.questions.push(question(address, asking).boxed());
            }
            let due = self.members.next_due().map(Instant::from_std);
            tokio::select! {
                biased;
                addresses = next_list(&mut self.addresses) => self.list(addresses),
                Some((asked, asking)) = self.questions.next() => {
                    if self.members.is_listed(asked.address) {
                        self.idle.insert(asked.address, asking);
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
        self.idle.retain(|address, _| addresses.contains(address));
        let (events, too_many) = self.members.list(addresses, Instant::now().into_std());
        self.events.extend(events);
        if std::mem::replace(&mut self.too_many, too_many) != too_many && too_many > 0 {
            tracing::warn!(not_asked = too_many, "there are too many siblings: not all of them are asked");
        }
    }
}

/// Asks once: for what has changed since the last answer, if there was one.
async fn question(address: SocketAddr, mut asking: Asking) -> (Asked, Asking) {
    let known = asking.known.take();
    let question = known.as_deref().map_or_else(Question::for_everything, Answer::next_question);
    let started = Instant::now().into_std();
    let text = asking.line.ask(&question).await;
    let ended = Instant::now().into_std();
    let result = match text {
        Ok(text) => parse(text, known).await,
        Err(problem) => Err(problem),
    };
    // After anything else, everything is asked for: also if it was the answer to this question that was of no use.
    asking.known = result.as_ref().ok().map(|(answer, _)| Arc::clone(answer));
    (Asked { address, started, ended, result }, asking)
}

/// Length from which on an answer is parsed by another thread, in bytes. The longest ones take tens of milliseconds, in which
/// the task that asks would do nothing else; a thousand backends are below this.
const LONG_ANSWER: usize = 64 << 10;

/// Parses an answer, and returns what it has cost.
async fn parse(text: Vec<u8>, known: Option<Arc<Answer>>) -> Result<(Arc<Answer>, Duration), Problem> {
    if text.len() < LONG_ANSWER {
        return parse_here(&text, known.as_deref());
    }
    let parsed = tokio::task::spawn_blocking(move || parse_here(&text, known.as_deref())).await;
    parsed.unwrap_or_else(|error| Err(Problem::Unintelligible(error.to_string())))
}

fn parse_here(text: &[u8], known: Option<&Answer>) -> Result<(Arc<Answer>, Duration), Problem> {
    let begun = std::time::Instant::now();
    let answer = Answer::parse_after(text, known)?;
    Ok((Arc::new(answer), COST_OF_A_QUESTION + begun.elapsed()))
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
