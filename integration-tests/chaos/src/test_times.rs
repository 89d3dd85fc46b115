//! The time that tests take which stand for what cannot be made in a run.

use std::{collections::BTreeMap, process::Command};

use anyhow::{Context, ensure};
use ilb_testbed::in_checkout;

use crate::rows::{Row, Test, rows};

/// Runs the tests of the rows that have no class of faults, and returns the time in seconds of each by its name. Tests of the
/// cluster are left out.
pub fn measure() -> anyhow::Result<BTreeMap<String, f64>> {
    let mut times = BTreeMap::new();
    for test in rows().filter(|row| row.chaos.is_empty()).flat_map(own_tests) {
        eprintln!("chaos: {}", test.name);
        times.insert(test.name.to_owned(), time(test)?);
    }
    Ok(times)
}

/// Returns the tests of a row that run on one machine.
pub(crate) fn own_tests(row: &Row) -> impl Iterator<Item = &'static Test> + use<> {
    row.tests.iter().filter(|test| !test.file.contains("cluster-test"))
}

fn time(test: &Test) -> anyhow::Result<f64> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(in_checkout(".")).args(["test", "--quiet", "--locked", "--workspace", "--all-features"]);
    // What cargo tells this program about its own package would make it build much once more.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            command.env_remove(name);
        }
    }
    match target(test.file) {
        Some(target) => command.args(["--test", target]),
        None => command.arg("--lib"),
    };
    let output = command.args(["--", "--include-ignored", test.name]).output().context("cannot run cargo")?;
    let printed = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{} fails:\n{printed}{}", test.name, String::from_utf8_lossy(&output.stderr));
    seconds(&printed).with_context(|| format!("no test {} has run:\n{printed}", test.name))
}

/// Returns the name of the test target of a file; `None` for a unit test.
fn target(file: &str) -> Option<&str> {
    let (_, path) = file.split_once("/tests/").filter(|(package, _)| !package.contains("/src"))?;
    path.split('/').next().map(|name| name.trim_end_matches(".rs"))
}

/// Returns the time of the only target in which a test has passed.
fn seconds(output: &str) -> Option<f64> {
    let line = output.lines().find(|line| line.starts_with("test result: ok. ") && !line.contains(" 0 passed;"))?;
    line.rsplit_once("finished in ")?.1.strip_suffix('s')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_of_a_test_follows_from_its_file() {
        assert_eq!(target("integration-tests/tests/ilb/admin_port.rs"), Some("ilb"));
        assert_eq!(target("traefik-client/tests/faults.rs"), Some("faults"));
        assert_eq!(target("discovery/src/kube/follow/tests.rs"), None);
        assert_eq!(target("controller/src/controller/tests/pushes.rs"), None);
    }

    #[test]
    fn the_time_is_that_of_the_target_in_which_a_test_has_passed() {
        let line = |passed, time| {
            format!(
                "test result: ok. {passed} passed; 0 failed; 0 ignored; 0 measured; 9 filtered out; finished in {time}s\n"
            )
        };
        assert_eq!(seconds(&[line(0, "0.00"), line(1, "1.25"), line(0, "0.00")].concat()), Some(1.25));
        assert_eq!(seconds(&line(0, "0.00")), None);
    }
}
