//! The command that repeats a failure.

use std::time::Duration;

use crate::{
    run::run,
    schedule::Step,
    setup::Setup,
    shrink::{MAX_ATTEMPTS, MAX_TIME, shrink},
    violation::Violation,
};

/// Looks for the fewest of the `steps` that break the same promise, and returns the command that runs them.
pub async fn shortest(seed: u64, setup: Setup, steps: &[Step], violation: &Violation) -> String {
    eprintln!(
        "looking for the fewest steps that fail as well, in at most {MAX_ATTEMPTS} attempts and {} minutes",
        MAX_TIME.as_secs() / 60
    );
    let shortest = shrink(steps.to_vec(), async |steps: &[Step]| {
        let outcome = run(setup, steps.iter().cloned(), Duration::MAX, 0).await;
        let found = outcome.ok().and_then(|outcome| outcome.violation);
        let fails = found.is_some_and(|(found, _)| found.kind == violation.kind);
        eprintln!("chaos: {} steps: {}", steps.len(), if fails { "fail as well" } else { "do not fail" });
        fails
    })
    .await;
    let numbers: Vec<_> = shortest.iter().map(|step| step.number.to_string()).collect();
    format!("the shortest replay:\n  make chaos SEED={seed} SETUP={} STEPS={}", setup.name(), numbers.join(","))
}
