//! The steps of a run: data, and a pure function of the seed.

use std::{fmt, time::Duration};

use crate::{
    fault::Fault,
    setup::{POOLS, SLOTS, Setup, Slot},
};

/// Faults that are made together, and changes of the pods while they are at work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Number, from 1 on: the same step in each run with this seed.
    pub number: usize,
    /// Time without faults before the step.
    pub calm: Duration,
    /// A fault, or two that fit.
    pub faults: Vec<Fault>,
    /// Changes of the pods while the faults are at work.
    pub changes: Vec<Change>,
    /// Time for which the faults last after they have been noticed.
    pub hold: Duration,
}

/// A change of a pod. It says what is to be, not what to do, so it makes sense also if the steps before are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Place of the pod.
    pub slot: Slot,
    /// State that it gets.
    pub to: PodState,
}

/// State of a pod. Its backend works in all of them, but is ended some time after the pod has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodState {
    /// Running and Ready.
    Ready,
    /// Running and not Ready.
    NotReady,
    /// Deleted with a grace period: it still exists.
    Terminating,
    /// Not there.
    Absent,
}

/// The steps, without end. Each kind of fault comes once before any comes again.
#[derive(Debug)]
pub struct Schedule {
    setup: Setup,
    random: fastrand::Rng,
    /// Faults that are still to come.
    deck: Vec<Fault>,
    number: usize,
}

impl Schedule {
    /// Creates the schedule of a seed.
    pub fn new(seed: u64, setup: Setup) -> Self {
        // Seeds are small numbers; the two arrangements get different steps.
        let random = fastrand::Rng::with_seed(seed.wrapping_mul(2).wrapping_add(u64::from(setup == Setup::Single)));
        Self { setup, random, deck: Vec::new(), number: 0 }
    }

    fn draw(&mut self, fits: impl Fn(Fault) -> bool) -> Option<Fault> {
        if self.deck.is_empty() {
            let random = &mut self.random;
            self.deck = Fault::one_of_each(self.setup, &mut |below| random.usize(..below));
            random.shuffle(&mut self.deck);
        }
        let index = self.deck.iter().rposition(|fault| fits(*fault))?;
        Some(self.deck.remove(index))
    }

    fn change(&mut self) -> Change {
        let slot = Slot { pool: self.random.usize(..POOLS.len()), number: self.random.usize(..SLOTS) };
        let to = match self.random.usize(..8) {
            0..4 => PodState::Ready,
            4 => PodState::NotReady,
            5 => PodState::Terminating,
            _ => PodState::Absent,
        };
        Change { slot, to }
    }

    /// Returns the changes of a step: some of single pods, and now and then those that scale a pool to zero or all pools to
    /// their full size.
    fn changes(&mut self) -> Vec<Change> {
        match self.random.usize(..10) {
            0 => {
                let pool = self.random.usize(..POOLS.len());
                (0..SLOTS).map(|number| Change { slot: Slot { pool, number }, to: PodState::Absent }).collect()
            }
            1 => Slot::all().map(|slot| Change { slot, to: PodState::Ready }).collect(),
            _ => (0..self.random.usize(..5)).map(|_| self.change()).collect(),
        }
    }
}

impl Iterator for Schedule {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        self.number += 1;
        let first = self.draw(|_| true)?;
        let mut faults = vec![first];
        if self.random.usize(..5) < 2 {
            faults.extend(self.draw(|fault| fault.fits(first)));
        }
        let changes = self.changes();
        let calm = Duration::from_millis(self.random.u64(300..1_500));
        let hold = Duration::from_millis(self.random.u64(200..3_000));
        Some(Step { number: self.number, calm, faults, changes, hold })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults: Vec<_> = self.faults.iter().map(ToString::to_string).collect();
        write!(f, "step {}: {}, {} changes of pods", self.number, faults.join(" and "), self.changes.len())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_seed_has_always_the_same_steps_and_another_seed_has_others() {
        for setup in Setup::ALL {
            let steps = |seed| Schedule::new(seed, setup).take(200).collect::<Vec<_>>();
            assert_eq!(steps(7), steps(7));
            assert_ne!(steps(7), steps(8));
        }
    }

    #[test]
    fn each_kind_comes_before_any_comes_again() {
        for setup in Setup::ALL {
            let all = Fault::one_of_each(setup, &mut |_| 0).len();
            let faults: Vec<_> = Schedule::new(3, setup).flat_map(|step| step.faults).take(all).collect();
            let kinds: HashSet<_> = faults.iter().map(|fault| fault.class()).collect();
            assert_eq!(kinds.len(), 30, "{kinds:?}");
        }
    }

    #[test]
    fn faults_of_a_step_are_in_different_parts() {
        for step in Schedule::new(5, Setup::Fleet).take(500) {
            assert!(!step.faults.is_empty() && step.faults.len() <= 2);
            if let [one, two] = step.faults[..] {
                assert!(one.fits(two) && two.fits(one), "{step}");
            }
        }
    }
}
