//! Runs of a bench, which tell measurements of different times apart.

use std::{
    collections::BTreeMap,
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use ilb_testbed::in_checkout;
use serde::{Deserialize, Serialize};

/// One run of a bench.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Run {
    /// Start, in seconds since the Unix epoch.
    started: u64,
    /// Commit of the checkout; empty if it is not known.
    pub commit: String,
}

impl Run {
    /// Returns the run that begins now.
    #[allow(clippy::disallowed_methods, reason = "the time names the run, and is not measured with")]
    pub fn now() -> Self {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let git = Command::new("git").arg("-C").arg(in_checkout(".")).args(["rev-parse", "--short", "HEAD"]).output();
        let commit = git.ok().filter(|output| output.status.success()).map(|output| output.stdout);
        Self { started, commit: String::from_utf8_lossy(&commit.unwrap_or_default()).trim().to_owned() }
    }
}

/// Formats one paragraph for each commit other than the `last` one, with the names of what was measured at it: the results
/// that a run which did not measure everything has kept.
pub fn kept<'a>(last: &str, results: impl Iterator<Item = (&'a str, String)>) -> String {
    let mut by_commit: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (commit, name) in results.filter(|(commit, _)| *commit != last) {
        by_commit.entry(commit).or_default().push(name);
    }
    let paragraph = |(commit, names): (&str, Vec<String>)| {
        format!(
            "\nThe last run was at {} and did not measure everything again. These results are from {} and were kept: {}.\n",
            named(last),
            named(commit),
            names.join(", ")
        )
    };
    by_commit.into_iter().map(paragraph).collect()
}

fn named(commit: &str) -> String {
    if commit.is_empty() { "an unknown commit".to_owned() } else { format!("commit {commit}") }
}

#[cfg(test)]
mod tests {
    use super::kept;

    #[test]
    fn results_of_another_commit_are_named_with_it_and_those_of_the_last_one_are_not() {
        let results =
            || [("b", "`steady` of ilb".to_owned()), ("a", "`full` of ilb".to_owned()), ("a", "`soak`".to_owned())];
        assert_eq!(
            kept("b", results().into_iter()),
            "\nThe last run was at commit b and did not measure everything again. These results are from commit a and were \
             kept: `full` of ilb, `soak`.\n"
        );
        assert_eq!(kept("b", results().into_iter().take(1)), "", "another run at the same commit");
        assert!(kept("", results().into_iter()).contains("at an unknown commit and"));
    }
}
