//! The steps of a run: data, and a pure function of the seed.

use std::{collections::HashSet, fmt, time::Duration};

use crate::{
    change::{Change, PodState},
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

/// The steps, without end. Each class of faults comes once before any comes again. The first ones are those that only this
/// arrangement shows, each alone, so that what ilb makes of them is seen.
#[derive(Debug)]
pub struct Schedule {
    setup: Setup,
    random: fastrand::Rng,
    /// Faults that are still to come, the next one last.
    deck: Vec<Fault>,
    number: usize,
}

/// Number of steps until each class of faults has been made once.
pub fn first_round(seed: u64, setup: Setup) -> usize {
    let mut left: HashSet<_> = Fault::one_of_each(setup, &mut |_| 0).into_iter().map(Fault::class).collect();
    let mut steps = Schedule::new(seed, setup);
    while !left.is_empty() {
        // The schedule has no end.
        let Some(step) = steps.next() else { break };
        for fault in &step.faults {
            left.remove(fault.class());
        }
    }
    steps.number
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
            // Drawn from the end.
            let setup = self.setup;
            self.deck.sort_by_key(|fault| fault.is_shown_only_in(setup));
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
        let setup = self.setup;
        if self.random.usize(..5) < 2 && !first.is_shown_only_in(setup) {
            faults.extend(self.draw(|fault| fault.fits(first) && !fault.is_shown_only_in(setup)));
        }
        let mut changes = self.changes();
        changes.retain(|change| faults.iter().all(|fault| fault.pool() != Some(change.slot.pool)));
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
    fn whatever_the_seed_each_class_comes_before_any_comes_again_and_soon_enough() {
        for setup in Setup::ALL {
            let all = Fault::one_of_each(setup, &mut |_| 0).len();
            for seed in 0..2_000 {
                let steps: Vec<_> = Schedule::new(seed, setup).take(first_round(seed, setup)).collect();
                let classes: Vec<_> = steps.iter().flat_map(|step| &step.faults).map(|fault| fault.class()).collect();
                let different: HashSet<_> = classes[..all].iter().collect();
                assert_eq!(different.len(), all, "seed {seed}: {classes:?}");
                assert!(steps.len() <= all && classes.len() <= all + 1, "seed {seed}: {} steps", steps.len());
            }
        }
    }

    #[test]
    fn whatever_the_seed_what_only_one_arrangement_shows_comes_first_and_alone() {
        for setup in Setup::ALL {
            let is_special = |fault: &Fault| fault.is_shown_only_in(setup);
            let special = Fault::one_of_each(setup, &mut |_| 0).iter().filter(|fault| is_special(fault)).count();
            assert_eq!(special, if setup == Setup::Single { 4 } else { 0 });
            for seed in 0..2_000 {
                let first: Vec<_> = Schedule::new(seed, setup).take(special).collect();
                let is_alone = |step: &Step| step.faults.len() == 1 && is_special(&step.faults[0]);
                assert!(first.iter().all(is_alone), "seed {seed}: {first:?}");
            }
        }
    }

    #[test]
    fn pods_that_a_fault_needs_are_not_changed_meanwhile() {
        for step in Schedule::new(5, Setup::Single).take(500) {
            for pool in step.faults.iter().filter_map(|fault| fault.pool()) {
                assert!(step.changes.iter().all(|change| change.slot.pool != pool), "{step:?}");
            }
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
