//! The addresses at which siblings are asked: who is there, and when to ask next.

mod pace;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use ilb_reconciler::siblings::{MAX_SIBLINGS, ReplicaId, Report, SILENT_AFTER};

use self::pace::{MAX_PERIOD, Pace};
use crate::{event::SiblingEvent, problem::Problem, wire::Answer};

/// Knowledge about each address of the list. Pure: callers pass `now`, and ask the addresses that are due.
#[derive(Debug)]
pub(crate) struct Members {
    own: ReplicaId,
    known: BTreeMap<SocketAddr, Member>,
    /// True until all addresses of the first list have been asked.
    is_first_round: bool,
    has_list: bool,
}

#[derive(Debug)]
struct Member {
    who: Who,
    /// Moment of the next question; `None` while one is out.
    due: Option<Instant>,
    /// Moment of the last answer, or at which the address was listed.
    heard_at: Instant,
    /// Failures since the last answer.
    failures: u32,
    /// Number of the last answer that was reported.
    sample: Option<u64>,
    has_been_asked: bool,
    /// Time between two questions by what an answer from here costs, so that one that answers at length delays no other.
    pace: Pace,
}

/// Knowledge of who answers at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Unknown,
    /// The own replica.
    Own,
    /// A sibling that is heard at another address, too.
    Double(ReplicaId),
    Heard(ReplicaId),
    Lost(Option<ReplicaId>),
}

/// The end of what was known of an address.
struct Gone {
    /// Identity that is not heard any more, if there was one and it is not heard at another address.
    replica: Option<ReplicaId>,
}

/// A question that has ended.
pub(crate) struct Asked {
    pub(crate) address: SocketAddr,
    pub(crate) started: Instant,
    pub(crate) ended: Instant,
    /// Answer, and the processor time that it took.
    pub(crate) result: Result<(Arc<Answer>, Duration), Problem>,
}

/// Maximum number of addresses that are asked: each sibling may have one of each family, and so has this replica.
const MAX_ADDRESSES: usize = 2 * (MAX_SIBLINGS + 1);

/// Time between two questions to an address that is this replica's own, or another one of a sibling that is heard.
const SELDOM: Duration = Duration::from_secs(10);

/// Longest pause before something is asked again that has answered, and not as a sibling does.
const MAX_PAUSE: Duration = Duration::from_secs(5);

impl Members {
    pub(crate) fn new(own: ReplicaId) -> Self {
        Self { own, known: BTreeMap::new(), is_first_round: true, has_list: false }
    }

    /// Takes in the complete list of addresses. Returns the events, and the number of addresses that are too many.
    pub(crate) fn list(&mut self, mut addresses: BTreeSet<SocketAddr>, now: Instant) -> (Vec<SiblingEvent>, usize) {
        let too_many = addresses.len().saturating_sub(MAX_ADDRESSES);
        while addresses.len() > MAX_ADDRESSES {
            addresses.pop_last();
        }
        self.has_list = true;
        let gone: Vec<SocketAddr> = self.known.keys().filter(|address| !addresses.contains(address)).copied().collect();
        let mut events: Vec<_> = gone.into_iter().filter_map(|address| self.remove(address, now)).collect();
        for address in addresses {
            self.known.entry(address).or_insert(Member {
                who: Who::Unknown,
                due: Some(now),
                heard_at: now,
                failures: 0,
                sample: None,
                has_been_asked: false,
                pace: Pace::new(),
            });
        }
        events.extend(self.end_of_first_round());
        (events, too_many)
    }

    /// Returns the addresses to ask now, which count as asked.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<SocketAddr> {
        let due = self.known.iter_mut().filter(|(_, member)| member.due.is_some_and(|due| due <= now));
        let take = |(address, member): (&SocketAddr, &mut Member)| {
            member.due = None;
            *address
        };
        due.map(take).collect()
    }

    pub(crate) fn is_listed(&self, address: SocketAddr) -> bool {
        self.known.contains_key(&address)
    }

    /// Returns the moment at which an address is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.known.values().filter_map(|member| member.due).min()
    }

    /// Returns `true` if each address of the list has answered its last question, as a sibling or as this replica.
    pub(crate) fn is_complete(&self) -> bool {
        let answers =
            |member: &Member| member.failures == 0 && matches!(member.who, Who::Own | Who::Double(_) | Who::Heard(_));
        self.has_list && self.known.values().all(answers)
    }

    /// Takes in the result of a question. `jitter` is a factor for the time until the next one.
    pub(crate) fn asked(&mut self, asked: Asked, jitter: f64) -> Vec<SiblingEvent> {
        let Asked { address, started, ended, result } = asked;
        let siblings = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
        let Some(member) = self.known.get_mut(&address) else { return Vec::new() };
        member.has_been_asked = true;
        let mut events = match result {
            Ok((answer, cost)) => {
                member.pace.asked(started, cost.saturating_mul(siblings));
                self.answered(address, &answer, started, ended, jitter)
            }
            Err(problem) => self.failed(address, problem, ended, jitter),
        };
        events.extend(self.end_of_first_round());
        events
    }

    fn answered(
        &mut self,
        address: SocketAddr,
        answer: &Answer,
        started: Instant,
        ended: Instant,
        jitter: f64,
    ) -> Vec<SiblingEvent> {
        let Some(before) = self.known.get(&address).map(|member| member.who) else { return Vec::new() };
        let who = self.who_answers(address, answer.replica);
        let mut events = Vec::new();
        let other = match before {
            Who::Heard(replica) | Who::Lost(Some(replica)) if replica != answer.replica => Some(replica),
            _ => None,
        };
        let stops = matches!(before, Who::Heard(_) | Who::Lost(_)) && !matches!(who, Who::Heard(_));
        if other.is_some() || stops {
            if let Some(member) = self.known.get_mut(&address) {
                member.who = Who::Unknown;
            }
            events.extend(
                self.ended(address, before, ended).map(|Gone { replica }| SiblingEvent::Left { address, replica }),
            );
        }
        if let Who::Heard(replica) = who
            && before != who
        {
            events.push(SiblingEvent::Heard { address, replica });
        }
        let Some(member) = self.known.get_mut(&address) else { return events };
        let is_news = before != who || member.sample != Some(answer.sample);
        (member.who, member.heard_at, member.failures, member.sample) = (who, ended, 0, Some(answer.sample));
        let pause = if matches!(who, Who::Heard(_)) { member.pace.pause(started) } else { SELDOM };
        member.due = Some((started + pause.mul_f64(jitter)).max(ended));
        if let (Who::Heard(replica), true) = (who, is_news) {
            // The counts are as old as the answer says, and at most by the round trip older, which is what remains of the time
            // that the sibling has not waited.
            let delay = ended.saturating_duration_since(started).saturating_sub(answer.held) / 2;
            let delayed = |(name, report): (&String, &Report)| (name.clone(), report.clone().delayed(delay));
            let pools = answer.pools.iter().map(delayed).collect();
            events.push(SiblingEvent::Reported { replica, pools, at: ended });
        }
        events
    }

    fn who_answers(&self, address: SocketAddr, replica: ReplicaId) -> Who {
        let is_elsewhere = || self.known.iter().any(|(a, m)| *a != address && m.who == Who::Heard(replica));
        match replica {
            own if own == self.own => Who::Own,
            double if is_elsewhere() => Who::Double(double),
            other => Who::Heard(other),
        }
    }

    fn failed(&mut self, address: SocketAddr, problem: Problem, now: Instant, jitter: f64) -> Vec<SiblingEvent> {
        let mut events = vec![SiblingEvent::Failed { address, problem: problem.clone() }];
        let Some(member) = self.known.get_mut(&address) else { return events };
        member.failures = member.failures.saturating_add(1);
        let pause = if problem.is_answer() { (MAX_PERIOD * member.failures.min(5)).min(MAX_PAUSE) } else { MAX_PERIOD };
        member.due = Some(now + pause.mul_f64(jitter));
        let before = member.who;
        if now.saturating_duration_since(member.heard_at) < SILENT_AFTER || matches!(before, Who::Lost(_)) {
            return events;
        }
        member.who = Who::Lost(None);
        let gone = self.ended(address, before, now);
        if let Some(Gone { replica }) = gone.or((before == Who::Unknown).then_some(Gone { replica: None })) {
            if let Some(member) = self.known.get_mut(&address) {
                member.who = Who::Lost(replica);
            }
            events.push(SiblingEvent::Lost { address, replica, problem });
        }
        events
    }

    fn remove(&mut self, address: SocketAddr, now: Instant) -> Option<SiblingEvent> {
        let member = self.known.remove(&address)?;
        let Gone { replica } = self.ended(address, member.who, now)?;
        Some(SiblingEvent::Left { address, replica })
    }

    /// Takes in that `before` is no longer at `address`. Returns `None` if observers know nothing of this address.
    fn ended(&mut self, address: SocketAddr, before: Who, now: Instant) -> Option<Gone> {
        match before {
            Who::Unknown | Who::Own | Who::Double(_) => None,
            Who::Lost(None) => Some(Gone { replica: None }),
            Who::Heard(replica) | Who::Lost(Some(replica)) => {
                let is_elsewhere = self.is_heard_elsewhere(replica, address, now);
                Some(Gone { replica: (!is_elsewhere).then_some(replica) })
            }
        }
    }

    /// Returns `true` if `replica` is heard at another address than this one. An address that was only a double is asked
    /// at once, and is the one at which it is heard from then on.
    fn is_heard_elsewhere(&mut self, replica: ReplicaId, address: SocketAddr, now: Instant) -> bool {
        let mut others = self.known.iter_mut().filter(|(other, _)| **other != address);
        let Some((_, other)) =
            others.find(|(_, other)| [Who::Heard(replica), Who::Double(replica)].contains(&other.who))
        else {
            return false;
        };
        if other.who == Who::Double(replica) {
            other.who = Who::Lost(Some(replica));
            other.due = other.due.map(|_| now);
        }
        true
    }

    fn end_of_first_round(&mut self) -> Option<SiblingEvent> {
        let is_over = self.has_list && self.known.values().all(|member| member.has_been_asked);
        (is_over && std::mem::take(&mut self.is_first_round)).then_some(SiblingEvent::AllAsked)
    }
}

#[cfg(test)]
mod tests;
