//! The admission of one backend: how many new connections it may get, by what became of those before.

mod failing;
mod peers;

use std::time::{Duration, Instant};

use failing::Failing;
pub(crate) use peers::{Load, Peers};
use peers::{UNKNOWN_USUAL, Watched, with_margin};

use crate::{
    decision::{EarlyEndings, Evidence},
    observations::ProbeResult,
    outcomes::{Outcomes, Sign},
};

/// Decides how many new connections a backend may get, by what became of those that it got.
///
/// A backend that accepts connections and ends them at once always has the fewest, so least connections alone would
/// send it nearly everything. Its connections are compared with those of its peers in the same pool, never with a fixed
/// measure: in some pools every connection ends within milliseconds.
///
/// 1. *Open*: it gets what the counts say.
/// 2. *Watched*: its connections end earlier than those of its peers. From that moment on it gets no more than an equal
///    share, so that it and its peers serve the same clients at the same time, and only what is seen from then on
///    decides.
/// 3. *Failing*: left out. It is let back by degrees after pauses that grow. If it held connections when it began to
///    fail, it is full rather than broken: then it also gets connections while it has fewer than that.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    state: State,
    /// Outcomes of about the last hundred connections.
    recent: Outcomes,
    /// Evidence so far, by the index of its sign, that connections have begun to end badly.
    alarms: [f64; Sign::ALL.len()],
    /// Outcomes since the sample before the last one.
    last: Outcomes,
    /// Outcomes of all connections.
    total: Outcomes,
    cleared: Option<Cleared>,
}

/// Outcomes of the connections of the pool while the backend was watched, which show what its clients do now. A new
/// backend gets all of those that only look in, and what its peers had before says nothing about them.
#[derive(Clone, Copy, Debug)]
struct Cleared {
    outcomes: Outcomes,
    /// Number of connections of the backend for which that still holds.
    left: u32,
}

#[derive(Clone, Debug)]
enum State {
    Open,
    // Boxed, since next to no backend is in them.
    Watched(Box<Watch>),
    Failing(Box<Failing>),
}

/// A backend that is compared with its peers, since a moment.
#[derive(Clone, Debug)]
struct Watch {
    totals: Watched,
    since: Instant,
    /// The sign with which its connections have begun to end.
    sign: Sign,
}

/// Strength of the evidence from which on a backend is watched.
const WATCH_STRENGTH: f64 = 6.0;

/// Strength of the evidence from which on a backend is failing: by chance once in 160 000 times, for a backend that is
/// already watched.
const FAILING_STRENGTH: f64 = 12.0;

/// Share of bad ends below which a difference from the peers does not matter, however certain it is.
const MIN_BAD_SHARE: f64 = 0.1;

/// Strength below which the outcomes of a watched backend are those of its peers.
const EQUAL_STRENGTH: f64 = 3.0;

/// Numbers of connections, own and of the peers, without which nobody is judged.
const MIN_OPENED: u32 = 4;
const MIN_OPENED_ON_PEERS: u32 = 8;

/// Numbers of connections after which a watched backend is cleared: if its outcomes are those of its peers, and anyway.
const ENOUGH_TO_CLEAR: u32 = 16;
const MOST_TO_WATCH: u32 = 64;

/// Evidence against failing with which a watched backend is cleared: five good connections where all are. One that fails
/// half of them is cleared by chance once in 20 times, and is watched again a few connections later.
///
/// While it is watched, a backend that has just come does not catch up with its peers, so watching has to be short where few
/// connections arrive.
const CLEARING_STRENGTH: f64 = 3.0;

/// Number of connections for which a backend that was cleared is measured by what was seen meanwhile, too.
const CLEARED_FOR: u32 = 64;

/// Longest time for which connections of a watched backend have to live until their number clears it.
const LONGEST_TO_CLEAR: Duration = Duration::from_secs(16);

/// Head start with which a watched backend catches up with its peers: more could go to a failing one at once.
const MAX_HEAD_START: u32 = 2;

impl Admission {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Open,
            recent: Outcomes::default(),
            alarms: Default::default(),
            last: Outcomes::default(),
            total: Outcomes::default(),
            cleared: None,
        }
    }

    /// Takes in what happened since the last sample.
    pub(crate) fn sampled(&mut self, outcomes: &Outcomes) {
        self.last = *outcomes;
        self.recent.add(outcomes);
        self.recent.fade();
        self.total.add(outcomes);
    }

    /// Judges the backend, which has this load. To be called after each sample in which something opened or ended, and
    /// after each one while the backend is not [open](Self::is_open).
    pub(crate) fn judge(&mut self, peers: &Peers<'_>, load: Load, now: Instant) {
        match &mut self.state {
            State::Open => {
                if let Some(sign) = self.alarm(peers) {
                    let totals = Watched { own: self.total, peers: peers.total };
                    self.state = State::Watched(Box::new(Watch { totals, since: now, sign }));
                }
            }
            State::Watched(watch) => {
                let own = self.total.since(&watch.totals.own);
                let others = peers.total.since(&watch.totals.peers);
                if let Some((sign, evidence)) = evidence(&own, &others, load.connections) {
                    let evidence = Evidence::EarlyEndings(evidence);
                    self.state =
                        State::Failing(Box::new(Failing::new(sign, evidence, usual(&others, sign), load.connections)));
                } else if is_cleared(&own, &others) || watch.has_shown_enough(&own, &others, now) {
                    let mut outcomes = own;
                    outcomes.add(&others);
                    self.open();
                    self.cleared = Some(Cleared { outcomes, left: CLEARED_FOR });
                }
            }
            State::Failing(failing) => {
                failing.judge(&self.total, &self.last, peers, load, now);
                if failing.has_recovered(load) {
                    self.open();
                }
            }
        }
    }

    fn open(&mut self) {
        self.state = State::Open;
        self.recent = Outcomes::default();
        self.alarms = Default::default();
    }

    /// Adds the outcomes of the last sample to the evidence that connections have begun to end badly, and returns the sign
    /// that shows soonest of those for which it is strong enough.
    ///
    /// This is a cumulative sum test (CUSUM): good ends take back evidence, but never more than there is, so a long good
    /// time does not delay the alarm.
    fn alarm(&mut self, peers: &Peers<'_>) -> Option<Sign> {
        let Self { alarms, last, cleared, .. } = self;
        if let Some(known) = cleared {
            known.left = known.left.saturating_sub(last.opened);
        }
        let cleared = cleared.filter(|known| known.left > 0).map(|known| known.outcomes);
        for sign in Sign::ALL {
            // Asked for only where it is needed: it costs a look at all backends.
            if last.total(sign) == 0 {
                continue;
            }
            let usual = (peers.usual)(sign).unwrap_or(UNKNOWN_USUAL);
            let usual = with_margin(cleared.map_or(usual, |known| usual.max(known.share(sign))));
            let alarm = &mut alarms[sign.index()];
            *alarm = (*alarm + last.evidence(sign, usual)).max(0.0);
        }
        Sign::ALL.into_iter().find(|sign| alarms[sign.index()] >= WATCH_STRENGTH)
    }

    /// Returns `true` if a probe is due at `now`, and from then on takes that probe to be under way.
    pub(crate) fn take_due_probe(&mut self, now: Instant) -> bool {
        match &mut self.state {
            State::Failing(failing) => failing.take_due_probe(now),
            State::Open | State::Watched(_) => false,
        }
    }

    /// Takes in the result of a probe of this backend, whose open peers have this total.
    pub(crate) fn probed(&mut self, result: ProbeResult, peers: &Outcomes, now: Instant) {
        if let State::Failing(failing) = &mut self.state {
            failing.probed(result, &self.total, peers, now);
        }
    }

    /// Takes in that the backend closed a probe at once, and that connections which it must have got did not appear: they
    /// live too short to be seen where connections are only counted now and then.
    pub(crate) fn closed_probe(&mut self, connections: u32, now: Instant) {
        match &mut self.state {
            State::Open | State::Watched(_) => {
                self.state = State::Failing(Box::new(Failing::with_closed_probe(connections, now)));
            }
            State::Failing(failing) => failing.closed_probe(now),
        }
    }

    /// Returns `true` if the backend gets new connections.
    pub(crate) fn admits(&self) -> bool {
        match &self.state {
            State::Open | State::Watched(_) => true,
            State::Failing(failing) => failing.admits(&self.total),
        }
    }

    /// Returns `true` if the backend serves connections, as far as is known: it does not fail, or is full and has room.
    pub(crate) fn works(&self) -> bool {
        match &self.state {
            State::Open | State::Watched(_) => true,
            State::Failing(failing) => failing.has_room(),
        }
    }

    /// Returns `true` if the backend gets new connections according to the counts alone.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// Returns the largest head start that the backend may get; `None` if there is no limit.
    ///
    /// Except in trials of a broken backend, the limit lets it have at most as many connections as its `open_peers` had on
    /// average since a moment: the counts alone would give it a head start again and again that it never fills.
    pub(crate) fn max_head_start(&self, peers: &Outcomes, open_peers: u32) -> Option<u32> {
        let fair = |since: &Watched| {
            let equal_share = peers.since(&since.peers).opened / open_peers.max(1);
            equal_share.saturating_sub(self.total.since(&since.own).opened).min(MAX_HEAD_START)
        };
        match &self.state {
            State::Open => None,
            State::Watched(watch) => Some(fair(&watch.totals)),
            State::Failing(failing) => Some(failing.max_head_start(&self.total, fair)),
        }
    }

    /// Returns the evidence if the backend is failing.
    pub(crate) fn evidence(&self) -> Option<&Evidence> {
        match &self.state {
            State::Failing(failing) => Some(failing.evidence()),
            State::Open | State::Watched(_) => None,
        }
    }

    /// Returns `true` if the last probe of a failing backend found it failing, too.
    pub(crate) fn has_failed_probe(&self) -> bool {
        let State::Failing(failing) = &self.state else { return false };
        failing.has_failed_probe()
    }

    /// Returns the moment at which something is due, if nothing is reported before.
    pub(crate) fn wake_up(&self) -> Option<Instant> {
        let State::Failing(failing) = &self.state else { return None };
        failing.wake_up()
    }

    pub(crate) fn recent(&self) -> &Outcomes {
        &self.recent
    }
}

impl Watch {
    /// Returns `true` if connections have had the time to end as those before the watch, and too few have: with each that has
    /// not, it is half as likely that the backend fails.
    fn has_shown_enough(&self, own: &Outcomes, peers: &Outcomes, now: Instant) -> bool {
        let speaks_against = |sign| own.evidence(sign, usual(peers, sign)) <= -CLEARING_STRENGTH;
        now.saturating_duration_since(self.since) >= self.sign.age().min(LONGEST_TO_CLEAR)
            && Sign::ALL.into_iter().all(speaks_against)
    }
}

/// Returns the evidence that the connections of a watched backend fail, if it is strong enough.
fn evidence(own: &Outcomes, peers: &Outcomes, connections: u32) -> Option<(Sign, EarlyEndings)> {
    if own.opened < MIN_OPENED || peers.opened < MIN_OPENED_ON_PEERS {
        return None;
    }
    let is_strong = |sign: &Sign| {
        let share = f64::from(own.bad(*sign)) / f64::from(own.total(*sign));
        share >= MIN_BAD_SHARE && own.strength(*sign, usual(peers, *sign)) >= FAILING_STRENGTH
    };
    let sign = Sign::ALL.into_iter().find(is_strong)?;
    let evidence = EarlyEndings {
        opened: own.total(sign),
        ended: own.bad(sign),
        opened_on_peers: peers.total(sign),
        ended_on_peers: peers.bad(sign),
        within: sign.age(),
        without_data: sign == Sign::Silent,
        held: connections,
    };
    Some((sign, evidence))
}

fn is_cleared(own: &Outcomes, peers: &Outcomes) -> bool {
    let is_equal = || Sign::ALL.into_iter().all(|sign| own.strength(sign, usual(peers, sign)) < EQUAL_STRENGTH);
    own.opened >= MOST_TO_WATCH || (own.opened >= ENOUGH_TO_CLEAR && is_equal())
}

/// Returns the share of the peers' connections that ended with `sign`. One bad one more makes up for small numbers.
fn usual(peers: &Outcomes, sign: Sign) -> f64 {
    with_margin((f64::from(peers.bad(sign)) + 1.0) / (f64::from(peers.total(sign)) + 2.0))
}
