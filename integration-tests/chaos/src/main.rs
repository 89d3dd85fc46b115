//! `make chaos`: faults at random moments in a real system, judged by a model.
//!
//! `DURATION=`, `SEED=`, `SETUP=` and `STEPS=` are described in `integration-tests/README.md`. A run that fails prints its seed,
//! the step, what was expected and seen, and a command with the fewest steps that fail as well. A whole run of 10 minutes or
//! more writes `docs/reliability.md`; the argument `report` writes it again from the last one.

use std::{collections::HashSet, process::ExitCode, time::Duration};

use ilb_chaos::{
    Outcome, Schedule, Setup, Step, Violation, first_round, options::Options, replay, report, results::Results, run,
    test_times,
};
use ilb_testbed::{Ilb, raise_file_limit, tools};

/// Shortest run that is written down. It goes on until each class of faults has been made in each arrangement.
const LONG_ENOUGH: Duration = Duration::from_secs(600);

#[tokio::main]
async fn main() -> ExitCode {
    let result = tokio::select! {
        result = run_all() => result,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted; everything that was started has been stopped")),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("chaos: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether everything was as the model says.
async fn run_all() -> anyhow::Result<bool> {
    if std::env::args().nth(1).as_deref() == Some("report") {
        write_report(&Results::load()?)?;
        return Ok(true);
    }
    let options = Options::from_variables(|name| std::env::var(name).ok())?;
    eprintln!("chaos: SEED={}", options.seed);
    raise_file_limit()?;
    tools::prepare()?;
    Ilb::build()?;
    let is_whole = options.steps.is_none() && options.setups == Setup::ALL && options.duration >= LONG_ENOUGH;
    let share = options.duration / u32::try_from(options.setups.len())?;
    let mut outcomes = Vec::new();
    for setup in &options.setups {
        let least = if is_whole { first_round(options.seed, *setup) } else { 0 };
        let outcome = if let Some(numbers) = &options.steps {
            run(*setup, steps(options.seed, *setup, numbers).into_iter(), Duration::MAX, 0).await?
        } else {
            run(*setup, Schedule::new(options.seed, *setup), share, least).await?
        };
        if let Some((violation, log)) = &outcome.violation {
            print_violation(&options, *setup, &outcome, violation, log);
            if options.steps.is_none() {
                println!("{}", replay::shortest(options.seed, *setup, &outcome.steps, violation).await);
            }
            return Ok(false);
        }
        outcomes.push((*setup, outcome));
    }
    let mut results = Results::new(&options, outcomes);
    println!("{}", report::summary(&results));
    if is_whole {
        results.tests = test_times::measure()?;
        results.save()?;
        write_report(&results)?;
    }
    Ok(true)
}

fn write_report(results: &Results) -> anyhow::Result<()> {
    let file = report::write(results)?;
    eprintln!("chaos: written to {}", file.display());
    Ok(())
}

/// Returns the steps of a seed that have these numbers.
fn steps(seed: u64, setup: Setup, numbers: &[usize]) -> Vec<Step> {
    let wanted: HashSet<_> = numbers.iter().copied().collect();
    let last = numbers.iter().copied().max().unwrap_or_default();
    Schedule::new(seed, setup).take(last).filter(|step| wanted.contains(&step.number)).collect()
}

fn print_violation(options: &Options, setup: Setup, outcome: &Outcome, violation: &Violation, log: &[String]) {
    println!("FAILED: {}", violation.kind);
    println!("  seed:     {} ({})", options.seed, setup.name());
    match outcome.steps.last() {
        Some(step) => println!("  {step}\n  changes:  {:?}", step.changes),
        None => println!("  at the start"),
    }
    println!("  expected: {}\n  seen:     {}", violation.expected, violation.seen.replace('\n', "\n            "));
    println!("  the end of the log of ilb:");
    for line in log {
        println!("    {line}");
    }
}
