//! The admission of one backend: how many new connections it may get, by what became of those before.

use std::time::{Duration, Instant};

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
}

#[derive(Clone, Debug)]
enum State {
    Open,
    Watched(Watched),
    Failing(Failing),
}

/// Totals at the moment from which on a backend and its peers are compared.
#[derive(Clone, Copy, Debug)]
struct Watched {
    own: Outcomes,
    peers: Outcomes,
}

#[derive(Clone, Debug)]
struct Failing {
    sign: Sign,
    evidence: Evidence,
    /// Share of the peers' connections that ended with the sign when the backend began to fail.
    usual_before: f64,
    /// Number of connections that the backend is known to hold: below it there is room.
    ceiling: u32,
    /// Totals at the moment since which there is room; `None` while there is none.
    room: Option<Watched>,
    /// Pause before the next trial. It doubles with each trial that fails.
    pause: Duration,
    step: Step,
    /// Number of trials that succeeded in a row.
    passed: u32,
    /// Result of the last probe.
    probe: Option<ProbeResult>,
}

/// Progress towards the next trial.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// No trial before this moment.
    Pause(Instant),
    /// A probe is due.
    ProbeDue,
    /// A probe is under way.
    Probing,
    /// The backend gets a few connections: own totals at the beginning, and the time of the last one of them.
    Trial { own: Outcomes, last_opened: Instant },
}

/// What is known of the other backends of the pool when a backend is judged.
pub(crate) struct Peers<'a> {
    /// Returns the share of recent connections that usually ends with a sign.
    pub(crate) usual: &'a dyn Fn(Sign) -> Option<f64>,
    /// Whether any backend of the pool [works](Admission::works) as far as is known.
    pub(crate) any_works: bool,
    /// Outcomes of all connections of open backends.
    pub(crate) total: Outcomes,
}

/// Share of connections that is taken to end with a sign where nothing is known.
const UNKNOWN_USUAL: f64 = 0.5;

/// Strength of the evidence from which on a backend is watched. Watching a healthy one costs hardly anything.
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

const FIRST_PAUSE: Duration = Duration::from_secs(4);
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// Number of trials in a row, of 1, 2, 4 and 8 connections, that a backend has to pass.
const TRIALS: u32 = 4;

/// Head start with which a watched backend catches up with its peers: more could go to a failing one at once.
const MAX_HEAD_START: u32 = 2;

/// Strength of the evidence that there is less room than it seemed.
const NO_ROOM_STRENGTH: f64 = 4.0;

/// Strength of the evidence with which a trial has failed: a single early end is enough in a trial of one or two
/// connections, if such ends are rare in the pool.
const FAILED_TRIAL_STRENGTH: f64 = 2.0;

/// Minimum time after the last connection of a trial after which it is judged.
const MIN_TRIAL_TIME: Duration = Duration::from_secs(1);

impl Admission {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Open,
            recent: Outcomes::default(),
            alarms: Default::default(),
            last: Outcomes::default(),
            total: Outcomes::default(),
        }
    }

    /// Takes in what happened since the last sample.
    pub(crate) fn sampled(&mut self, outcomes: &Outcomes, now: Instant) {
        self.last = *outcomes;
        self.recent.add(outcomes);
        self.recent.fade();
        if outcomes.opened > 0
            && let State::Failing(failing) = &mut self.state
        {
            failing.opened(&self.total, now);
        }
        self.total.add(outcomes);
    }

    /// Judges the backend, which has this number of connections. To be called after each sample in which something opened
    /// or ended, and after each one while the backend is not [open](Self::is_open).
    pub(crate) fn judge(&mut self, peers: &Peers<'_>, connections: u32, now: Instant) {
        match &mut self.state {
            State::Open => {
                if self.is_alarmed(peers) {
                    self.state = State::Watched(Watched { own: self.total, peers: peers.total });
                }
            }
            State::Watched(watched) => {
                let own = self.total.since(&watched.own);
                let others = peers.total.since(&watched.peers);
                if let Some((sign, evidence)) = evidence(&own, &others, connections) {
                    let evidence = Evidence::EarlyEndings(evidence);
                    self.state = State::Failing(Failing::new(sign, evidence, usual(&others, sign), connections));
                } else if is_cleared(&own, &others) {
                    self.open();
                }
            }
            State::Failing(failing) => {
                failing.judge_room(&self.total, peers, connections);
                failing.judge_trial(&self.total, peers, connections, now);
                if failing.passed >= TRIALS {
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

    /// Adds the outcomes of the last sample to the evidence that connections have begun to end badly, and returns `true`
    /// if it is strong enough for some sign.
    ///
    /// This is a cumulative sum test (CUSUM): good ends take back evidence, but never more than there is, so a long good
    /// time does not delay the alarm.
    fn is_alarmed(&mut self, peers: &Peers<'_>) -> bool {
        let Self { alarms, last, .. } = self;
        for sign in Sign::ALL {
            let (bad, total) = (f64::from(last.bad(sign)), f64::from(last.total(sign)));
            if total == 0.0 {
                continue;
            }
            let usual = with_margin((peers.usual)(sign).unwrap_or(UNKNOWN_USUAL));
            let failing = usual.midpoint(1.0);
            let gain = bad * (failing / usual).ln() + (total - bad) * ((1.0 - failing) / (1.0 - usual)).ln();
            let alarm = &mut alarms[sign.index()];
            *alarm = (*alarm + gain).max(0.0);
        }
        alarms.iter().any(|alarm| *alarm >= WATCH_STRENGTH)
    }

    /// Returns `true` if a probe is due at `now`, and from then on takes that probe to be under way.
    pub(crate) fn take_due_probe(&mut self, now: Instant) -> bool {
        let State::Failing(failing) = &mut self.state else { return false };
        let is_due = match failing.step {
            Step::ProbeDue => true,
            Step::Pause(until) => until <= now,
            Step::Probing | Step::Trial { .. } => false,
        };
        if is_due {
            failing.step = Step::Probing;
        }
        is_due
    }

    /// Takes in the result of a probe of this backend.
    pub(crate) fn probed(&mut self, result: ProbeResult, now: Instant) {
        let State::Failing(failing) = &mut self.state else { return };
        if !matches!(failing.step, Step::Probing) {
            return;
        }
        let is_first = failing.probe.is_none();
        failing.probe = Some(result);
        let keeps_failing = matches!(result, ProbeResult::Closed | ProbeResult::Unanswered);
        failing.step = if is_first || (keeps_failing && failing.pause < MAX_PAUSE) {
            if !is_first {
                failing.pause = (failing.pause * 2).min(MAX_PAUSE);
            }
            Step::Pause(now + failing.pause)
        } else {
            // At the longest pause a trial is made whatever the probe says: where a server closes each connection of a
            // client that sends nothing, probes alone would keep it out for good.
            Step::Trial { own: self.total, last_opened: now }
        };
    }

    /// Takes in that the backend closed a probe at once, and that connections which it must have got did not appear: they
    /// live too short to be seen where connections are only counted now and then.
    pub(crate) fn closed_probe(&mut self, connections: u32, now: Instant) {
        match &mut self.state {
            State::Open | State::Watched(_) => {
                let usual = with_margin(UNKNOWN_USUAL);
                let mut failing = Failing::new(Sign::Early(0), Evidence::ClosedProbe, usual, connections);
                failing.probe = Some(ProbeResult::Closed);
                failing.step = Step::Pause(now + failing.pause);
                self.state = State::Failing(failing);
            }
            State::Failing(failing) => {
                failing.probe = Some(ProbeResult::Closed);
                failing.fail_again(now);
            }
        }
    }

    /// Returns `true` if the backend gets new connections.
    pub(crate) fn admits(&self) -> bool {
        match &self.state {
            State::Open | State::Watched(_) => true,
            State::Failing(failing) => failing.room.is_some() || failing.rest_of_trial(&self.total) > 0,
        }
    }

    /// Returns `true` if the backend serves connections, as far as is known: it does not fail, or is full and has room.
    pub(crate) fn works(&self) -> bool {
        match &self.state {
            State::Open | State::Watched(_) => true,
            State::Failing(failing) => failing.room.is_some(),
        }
    }

    /// Returns `true` if the backend gets new connections according to the counts alone.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// Returns the largest head start that the backend may get; `None` if there is no limit.
    ///
    /// In a trial that is the rest of the trial. Otherwise the limit lets it have at most as many connections as its `open_peers` had on average since it is watched. The
    /// counts alone would give it a head start again and again that it never fills.
    pub(crate) fn max_head_start(&self, peers: &Outcomes, open_peers: u32) -> Option<u32> {
        let watched = match &self.state {
            State::Open => return None,
            State::Watched(watched) => watched,
            State::Failing(failing) => match &failing.room {
                Some(room) => room,
                None => return Some(failing.rest_of_trial(&self.total)),
            },
        };
        let equal_share = peers.since(&watched.peers).opened / open_peers.max(1);
        Some(equal_share.saturating_sub(self.total.since(&watched.own).opened).min(MAX_HEAD_START))
    }

    /// Returns the evidence if the backend is failing.
    pub(crate) fn evidence(&self) -> Option<&Evidence> {
        match &self.state {
            State::Failing(failing) => Some(&failing.evidence),
            State::Open | State::Watched(_) => None,
        }
    }

    /// Returns `true` if the last probe of a failing backend found it failing, too.
    pub(crate) fn has_failed_probe(&self) -> bool {
        let State::Failing(failing) = &self.state else { return false };
        matches!(failing.probe, Some(ProbeResult::Closed | ProbeResult::Unanswered))
    }

    /// Returns the moment at which something is due, if nothing is reported before.
    pub(crate) fn wake_up(&self) -> Option<Instant> {
        let State::Failing(failing) = &self.state else { return None };
        match failing.step {
            Step::Pause(until) => Some(until),
            Step::ProbeDue | Step::Probing => None,
            Step::Trial { last_opened, .. } => Some(last_opened + failing.trial_time()),
        }
    }

    pub(crate) fn recent(&self) -> &Outcomes {
        &self.recent
    }
}

impl Failing {
    fn new(sign: Sign, evidence: Evidence, usual_before: f64, connections: u32) -> Self {
        let mut failing = Self {
            sign,
            evidence,
            usual_before,
            ceiling: 0,
            room: None,
            pause: FIRST_PAUSE,
            step: Step::ProbeDue,
            passed: 0,
            probe: None,
        };
        failing.lower_ceiling(connections);
        failing
    }

    /// Sets the ceiling for a backend that fails with this number of connections. One place is left free, because one
    /// more connection can arrive before the next push.
    fn lower_ceiling(&mut self, connections: u32) {
        self.ceiling = connections.saturating_sub((connections / 16).max(1));
        self.room = None;
    }

    /// Gives and takes room as connections end and open.
    fn judge_room(&mut self, total: &Outcomes, peers: &Peers<'_>, connections: u32) {
        if let Some(Watched { own: before, .. }) = self.room {
            let own = total.since(&before);
            if own.strength(self.sign, self.usual(peers)) >= NO_ROOM_STRENGTH {
                self.lower_ceiling((self.ceiling / 2).min(connections));
            } else if connections >= self.ceiling {
                self.room = None;
            }
            return;
        }
        // Room for a single connection is no room: it would be used up twice before the next push.
        let margin = (self.ceiling / 8).max(2);
        if self.ceiling > 0 && connections.saturating_add(margin) <= self.ceiling {
            self.room = Some(Watched { own: *total, peers: peers.total });
        }
    }

    fn judge_trial(&mut self, total: &Outcomes, peers: &Peers<'_>, connections: u32, now: Instant) {
        let Step::Trial { own: before, last_opened } = self.step else { return };
        let own = total.since(&before);
        if own.strength(self.sign, self.usual(peers)) >= FAILED_TRIAL_STRENGTH {
            self.fail_again(now);
        } else if own.opened >= self.trial_size() && now >= last_opened + self.trial_time() {
            self.passed += 1;
            self.ceiling = self.ceiling.max(connections);
            self.step = Step::Trial { own: *total, last_opened: now };
        }
    }

    /// Returns the share of connections that ends with the sign on backends that work. While none does, what is usual now
    /// shows only how they fail.
    fn usual(&self, peers: &Peers<'_>) -> f64 {
        if peers.any_works { with_margin((peers.usual)(self.sign).unwrap_or(UNKNOWN_USUAL)) } else { self.usual_before }
    }

    /// Takes in that connections opened, before which the backend had this `total`. Those beyond the trial, of which there
    /// are many while no backend works, do not delay its end.
    fn opened(&mut self, total: &Outcomes, now: Instant) {
        let is_incomplete = self.rest_of_trial(total) > 0;
        if let Step::Trial { last_opened, .. } = &mut self.step
            && is_incomplete
        {
            *last_opened = now;
        }
    }

    fn fail_again(&mut self, now: Instant) {
        self.passed = 0;
        self.pause = (self.pause * 2).min(MAX_PAUSE);
        self.step = Step::Pause(now + self.pause);
    }

    /// Returns the number of connections that are still to open in this trial.
    fn rest_of_trial(&self, total: &Outcomes) -> u32 {
        match self.step {
            Step::Trial { own, .. } => self.trial_size().saturating_sub(total.since(&own).opened),
            Step::Pause(_) | Step::ProbeDue | Step::Probing => 0,
        }
    }

    fn trial_size(&self) -> u32 {
        1 << self.passed.min(TRIALS)
    }

    /// Returns the time for which a connection of a trial has to live.
    fn trial_time(&self) -> Duration {
        self.sign.age().max(MIN_TRIAL_TIME)
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

/// Returns the share that a backend may have which is somewhat worse than its peers, and still works.
fn with_margin(share: f64) -> f64 {
    (share * 1.5 + 0.01).min(0.95)
}
