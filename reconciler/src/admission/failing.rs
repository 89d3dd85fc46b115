//! A failing backend: what it may still get, and its way back.

use std::time::{Duration, Instant};

use super::peers::{Load, Peers, UNKNOWN_USUAL, Watched, with_margin};
use crate::{
    decision::Evidence,
    observations::ProbeResult,
    outcomes::{Outcomes, Sign},
};

/// Remembers what a failing backend may still get, and how far it is on its way back.
///
/// A backend that holds connections while it refuses new ones is full rather than broken. How many it can hold is learned
/// as a congestion window is: each refusal lowers the ceiling a little, and trials that succeed raise it.
#[derive(Clone, Debug)]
pub(super) struct Failing {
    sign: Sign,
    evidence: Evidence,
    /// Share of the peers' connections that ended with the sign when the backend began to fail.
    usual_before: f64,
    /// Number of connections that the backend is known to hold: below it there is room. 0 for one that is broken.
    ceiling: u32,
    /// Totals at the moment since which there is room; `None` while there is none.
    room: Option<Watched>,
    /// Evidence so far that the ceiling is too high.
    overruns: f64,
    /// Pause before the next trial. It doubles with each trial that fails.
    pause: Duration,
    step: Step,
    /// Number of trials that succeeded in a row.
    passed: u32,
    /// Highest number of connections that the backend has had in them.
    shown: u32,
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
    /// The backend gets a few connections.
    Trial(Trial),
}

/// A trial: a few connections that show whether the backend serves again, or serves more than before.
#[derive(Clone, Copy, Debug)]
struct Trial {
    /// Totals at its beginning.
    from: Watched,
    /// Highest number of connections that the backend has had since then.
    most_held: u32,
    /// Moment at which it had got all connections of the trial. From then on they have to live.
    complete_since: Option<Instant>,
}

const FIRST_PAUSE: Duration = Duration::from_secs(4);
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// Number of trials in a row, of 1, 2, 4 and 8 connections, that a backend has to pass.
const TRIALS: u32 = 4;

/// Largest number of connections of a trial, as a power of two.
const MAX_TRIAL_EXPONENT: u32 = 16;

/// Strength of the evidence, from the connections since there was room, that there is far less than it seemed. If all of
/// them failed, [`OVERRUN_STRENGTH`] is enough.
const NO_ROOM_STRENGTH: f64 = 4.0;

/// Strength of the evidence, from all connections since the ceiling was last lowered, that it is somewhat too high: a
/// single early end, if such ends are rare in the pool.
const OVERRUN_STRENGTH: f64 = 2.0;

/// Strength of the evidence with which a trial has failed: a single early end is enough in a trial of one or two
/// connections, if such ends are rare in the pool.
const FAILED_TRIAL_STRENGTH: f64 = 2.0;

/// Minimum time after the last connection of a trial after which it is judged.
const MIN_TRIAL_TIME: Duration = Duration::from_secs(1);

impl Failing {
    /// Creates the state of a backend that begins to fail with this number of connections. `usual_before` is the share of
    /// its peers' connections that end with the same sign.
    pub(super) fn new(sign: Sign, evidence: Evidence, usual_before: f64, connections: u32) -> Self {
        Self {
            sign,
            evidence,
            usual_before,
            ceiling: below(connections),
            room: None,
            overruns: 0.0,
            pause: FIRST_PAUSE,
            step: Step::ProbeDue,
            passed: 0,
            shown: 0,
            probe: None,
        }
    }

    /// Creates the state of a backend that has just closed a probe.
    pub(super) fn with_closed_probe(connections: u32, now: Instant) -> Self {
        let usual = with_margin(UNKNOWN_USUAL);
        let failing = Self::new(Sign::Early(0), Evidence::ClosedProbe, usual, connections);
        Self { probe: Some(ProbeResult::Closed), step: Step::Pause(now + FIRST_PAUSE), ..failing }
    }

    /// Judges the backend by its `total` and by the outcomes since the sample before the last one.
    pub(super) fn judge(&mut self, total: &Outcomes, last: &Outcomes, peers: &Peers<'_>, load: Load, now: Instant) {
        self.judge_room(total, last, peers, load.connections);
        self.judge_trial(total, peers, load, now);
    }

    /// Returns `true` if the backend has passed its trials. One that was full has to have as many connections as its peers,
    /// too: before that, nothing says that it would hold them.
    pub(super) fn has_recovered(&self, load: Load) -> bool {
        let is_level = || load.level.is_none_or(|level| self.ceiling + places_left_free(self.ceiling) >= level);
        self.passed >= TRIALS && (self.ceiling == 0 || is_level())
    }

    /// Returns `true` if a probe is due at `now`, and from then on takes that probe to be under way.
    pub(super) fn take_due_probe(&mut self, now: Instant) -> bool {
        let is_due = match self.step {
            Step::ProbeDue => true,
            Step::Pause(until) => until <= now,
            Step::Probing | Step::Trial(_) => false,
        };
        if is_due {
            self.step = Step::Probing;
        }
        is_due
    }

    /// Takes in the result of a probe of this backend, which has this `total`, as its peers have theirs.
    pub(super) fn probed(&mut self, result: ProbeResult, total: &Outcomes, peers: &Outcomes, now: Instant) {
        if !matches!(self.step, Step::Probing) {
            return;
        }
        let is_first = self.probe.is_none();
        self.probe = Some(result);
        let keeps_failing = matches!(result, ProbeResult::Closed | ProbeResult::Unanswered);
        self.step = if is_first || (keeps_failing && self.pause < MAX_PAUSE) {
            if !is_first {
                self.pause = (self.pause * 2).min(MAX_PAUSE);
            }
            Step::Pause(now + self.pause)
        } else {
            // At the longest pause a trial is made whatever the probe says: where a server closes each connection of a
            // client that sends nothing, probes alone would keep it out for good.
            Step::Trial(Trial::new(Watched { own: *total, peers: *peers }))
        };
    }

    /// Takes in that the backend closed a probe at once while it should have had connections.
    pub(super) fn closed_probe(&mut self, now: Instant) {
        self.probe = Some(ProbeResult::Closed);
        self.fail_again(now);
    }

    /// Returns `true` if the backend, which has this `total`, gets new connections.
    pub(super) fn admits(&self, total: &Outcomes) -> bool {
        self.has_room() || self.rest_of_trial(total) > 0
    }

    /// Returns `true` if the backend is full and has room, so that it serves what it gets.
    pub(super) fn has_room(&self) -> bool {
        self.room.is_some()
    }

    /// Returns the largest head start that the backend may get: of one that is broken the rest of the trial, and of one
    /// that is full as many connections as `fair` returns since a moment.
    pub(super) fn max_head_start(&self, total: &Outcomes, fair: impl Fn(&Watched) -> u32) -> u32 {
        match (&self.room, &self.step) {
            (Some(room), _) => fair(room),
            (None, Step::Trial(trial)) if self.ceiling > 0 => fair(&trial.from).min(self.rest_of_trial(total)),
            (None, _) => self.rest_of_trial(total),
        }
    }

    /// Returns what shows that the backend fails.
    pub(super) fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// Returns `true` if the last probe found the backend failing, too.
    pub(super) fn has_failed_probe(&self) -> bool {
        matches!(self.probe, Some(ProbeResult::Closed | ProbeResult::Unanswered))
    }

    /// Returns the moment at which something is due, if nothing is reported before.
    pub(super) fn wake_up(&self) -> Option<Instant> {
        match self.step {
            Step::Pause(until) => Some(until),
            Step::ProbeDue | Step::Probing => None,
            Step::Trial(trial) => Some(trial.complete_since? + self.trial_time()),
        }
    }

    /// Gives and takes room as connections end and open.
    fn judge_room(&mut self, total: &Outcomes, last: &Outcomes, peers: &Peers<'_>, connections: u32) {
        if self.ceiling == 0 {
            return;
        }
        let usual = self.usual(peers);
        self.overruns = (self.overruns + last.evidence(self.sign, usual)).max(0.0);
        let since_room = self.room.as_ref().map(|room| total.since(&room.own));
        let has_none = |own: &Outcomes| {
            own.strength(self.sign, usual) >= NO_ROOM_STRENGTH
                || (self.overruns >= OVERRUN_STRENGTH && own.bad(self.sign) >= own.opened)
        };
        if since_room.as_ref().is_some_and(has_none) {
            self.lower_ceiling((self.ceiling / 2).min(connections));
        } else if self.overruns >= OVERRUN_STRENGTH && !matches!(self.step, Step::Trial(_)) {
            self.lower_ceiling(self.ceiling.min(connections));
        } else if self.room.is_some() {
            if connections >= self.ceiling {
                self.room = None;
            }
        } else {
            // Room for a single connection is no room: it would be used up twice before the next push.
            let margin = (self.ceiling / 8).max(2);
            if connections.saturating_add(margin) <= self.ceiling {
                self.room = Some(Watched { own: *total, peers: peers.total });
            }
        }
    }

    fn judge_trial(&mut self, total: &Outcomes, peers: &Peers<'_>, load: Load, now: Instant) {
        let Step::Trial(mut trial) = self.step else { return };
        let own = total.since(&trial.from.own);
        // A full backend serves others during its trial, so one refusal is the smaller part of it.
        let is_overrun = self.ceiling > 0 && self.overruns >= OVERRUN_STRENGTH;
        if is_overrun || own.strength(self.sign, self.usual(peers)) >= FAILED_TRIAL_STRENGTH {
            let known = self.shown.max(self.ceiling + places_left_free(self.ceiling));
            self.lower_ceiling(known.min(load.connections));
            self.fail_again(now);
            return;
        }
        trial.most_held = trial.most_held.max(load.connections);
        if trial.complete_since.is_none() && self.is_complete(&trial, &own, load.level) {
            trial.complete_since = Some(now);
        }
        self.step = Step::Trial(trial);
        if trial.complete_since.is_some_and(|since| now >= since + self.trial_time()) {
            self.passed += 1;
            self.shown = self.shown.max(trial.most_held);
            if self.ceiling > 0 {
                self.ceiling = self.ceiling.max(below(trial.most_held));
            }
            self.step = Step::Trial(Trial::new(Watched { own: *total, peers: peers.total }));
        }
    }

    /// Returns `true` if the backend has got all connections of the trial. One that is full has to hold more of them at a
    /// time than before, unless its peers have no more either: as its connections end, it always serves some others.
    fn is_complete(&self, trial: &Trial, own: &Outcomes, level: Option<u32>) -> bool {
        let holds_more = || trial.most_held >= self.goal();
        let is_level = || level.is_none_or(|level| trial.most_held >= level);
        own.opened >= self.trial_size() && (self.ceiling == 0 || holds_more() || is_level())
    }

    /// Sets the ceiling for a backend that fails with this number of connections.
    fn lower_ceiling(&mut self, connections: u32) {
        self.ceiling = below(connections);
        self.room = None;
        self.overruns = 0.0;
    }

    fn fail_again(&mut self, now: Instant) {
        (self.passed, self.shown) = (0, 0);
        self.pause = (self.pause * 2).min(MAX_PAUSE);
        self.step = Step::Pause(now + self.pause);
    }

    /// Returns the share of connections that ends with the sign on backends that work. While none does, what is usual now
    /// shows only how they fail.
    fn usual(&self, peers: &Peers<'_>) -> f64 {
        if peers.any_works { with_margin((peers.usual)(self.sign).unwrap_or(UNKNOWN_USUAL)) } else { self.usual_before }
    }

    /// Returns the number of connections that are still to open in this trial.
    fn rest_of_trial(&self, total: &Outcomes) -> u32 {
        match self.step {
            Step::Trial(trial) if trial.complete_since.is_some() => 0,
            Step::Trial(trial) if self.ceiling > 0 => self.goal().saturating_sub(trial.most_held),
            Step::Trial(trial) => self.trial_size().saturating_sub(total.since(&trial.from.own).opened),
            Step::Pause(_) | Step::ProbeDue | Step::Probing => 0,
        }
    }

    /// Returns the number of connections that a full backend has to hold in a trial.
    fn goal(&self) -> u32 {
        self.ceiling + places_left_free(self.ceiling) + self.trial_size()
    }

    fn trial_size(&self) -> u32 {
        1 << self.passed.min(MAX_TRIAL_EXPONENT)
    }

    /// Returns the time for which a connection of a trial has to live.
    fn trial_time(&self) -> Duration {
        self.sign.age().max(MIN_TRIAL_TIME)
    }
}

impl Trial {
    fn new(from: Watched) -> Self {
        Self { from, most_held: 0, complete_since: None }
    }
}

/// Returns the ceiling for a backend that has refused a connection while it had this number of them.
fn below(connections: u32) -> u32 {
    connections.saturating_sub(places_left_free(connections))
}

/// Returns how many places are left free of so many: one more connection can arrive before the next push.
fn places_left_free(places: u32) -> u32 {
    (places / 16).max(1)
}
