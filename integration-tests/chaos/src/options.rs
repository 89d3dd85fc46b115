//! What to run, from the environment.

use std::time::Duration;

use anyhow::{Context, bail, ensure};

use crate::setup::Setup;

/// Options of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// `SEED`; a random one by default.
    pub seed: u64,
    /// `DURATION` of all arrangements together: seconds, with or without the `s`, or minutes with an `m`. 10 minutes by
    /// default.
    pub duration: Duration,
    /// `SETUP`: one arrangement; all by default.
    pub setups: Vec<Setup>,
    /// `STEPS`: numbers of the only steps to run. Needs `SETUP` and `SEED`.
    pub steps: Option<Vec<usize>>,
}

impl Options {
    /// Reads the options; `variable` returns the text of a variable that is set.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let variable = |name: &str| variable(name).filter(|text| !text.is_empty());
        let (seed, steps) = (variable("SEED"), variable("STEPS"));
        let (seed, is_seed_given) = match seed {
            Some(text) => (text.parse().with_context(|| format!("SEED={text} is not a number"))?, true),
            None => (fastrand::u64(1..1_000_000), false),
        };
        let setups = match variable("SETUP") {
            None => Setup::ALL.to_vec(),
            Some(name) => {
                let setup = Setup::ALL.into_iter().find(|setup| setup.name() == name);
                vec![setup.with_context(|| format!("SETUP={name} is neither fleet nor single"))?]
            }
        };
        let steps = steps.map(|text| numbers(&text)).transpose()?;
        ensure!(steps.is_none() || (is_seed_given && setups.len() == 1), "STEPS needs SEED and SETUP");
        let duration = variable("DURATION").map_or(Ok(Duration::from_secs(600)), |text| duration(&text))?;
        Ok(Self { seed, duration, setups, steps })
    }
}

fn numbers(text: &str) -> anyhow::Result<Vec<usize>> {
    let numbers = text.split(',').map(|number| number.trim().parse());
    numbers.collect::<Result<_, _>>().with_context(|| format!("STEPS={text} is not a list of numbers"))
}

fn duration(text: &str) -> anyhow::Result<Duration> {
    let (number, seconds) = match text.strip_suffix('m') {
        Some(minutes) => (minutes, 60),
        None => (text.strip_suffix('s').unwrap_or(text), 1),
    };
    match number.parse::<u64>() {
        Ok(number) if number > 0 => Ok(Duration::from_secs(number * seconds)),
        _ => bail!("DURATION={text} is not a duration such as 60, 60s or 10m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(variables: &[(&str, &str)]) -> anyhow::Result<Options> {
        Options::from_variables(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned())
        })
    }

    #[test]
    fn by_default_both_arrangements_run_for_ten_minutes_in_all() {
        let options = options(&[("SEED", "7")]).unwrap();
        assert_eq!((options.seed, options.duration), (7, Duration::from_secs(600)));
        assert_eq!((options.setups, options.steps), (Setup::ALL.to_vec(), None));
    }

    #[test]
    fn a_replay_names_its_seed_its_arrangement_and_its_steps() {
        let replay = options(&[("SEED", "7"), ("SETUP", "fleet"), ("STEPS", "3,9")]).unwrap();
        assert_eq!((replay.setups, replay.steps), (vec![Setup::Fleet], Some(vec![3, 9])));
        assert!(options(&[("STEPS", "3"), ("SEED", "7")]).is_err());
        assert!(options(&[("DURATION", "soon")]).is_err());
        assert_eq!(options(&[("DURATION", "2m")]).unwrap().duration, Duration::from_secs(120));
    }
}
