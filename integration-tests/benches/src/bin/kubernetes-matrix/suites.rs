//! Tests of this repository, run on an API server of another version.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::Context;
use ilb_benches::test_run::counts;
use ilb_testbed::in_checkout;

use crate::page::Cell;

/// Tests that belong together: a row of the table.
#[derive(Debug)]
pub(crate) struct Suite {
    /// Name of the row.
    pub(crate) name: &'static str,
    /// Folder in `integration-tests/tests`.
    target: &'static str,
    /// Parts of the names of the tests; none: all tests of the folder.
    filters: &'static [&'static str],
    /// Test that an older Kubernetes cannot pass, with the minor version that it needs.
    needs: Option<(&'static str, u32)>,
}

/// The rows. The tests that a real API server takes part in.
pub(crate) const SUITES: [Suite; 4] = [
    Suite {
        name: "backends are followed through every failure",
        target: "discovery",
        filters: &[],
        // The API server grants rights by selectors.
        needs: Some(("an_account_that_may_read_only_the_selected_pods_follows_them_over_a_broken_connection", 32)),
    },
    Suite { name: "every object of the chart is accepted", target: "chart", filters: &["api_server::"], needs: None },
    Suite {
        name: "the chart is installed, upgraded, rolled back by both Helms",
        target: "chart",
        filters: &["releases::"],
        needs: None,
    },
    Suite {
        name: "the program works with everything around it",
        target: "ilb",
        filters: &["api_server_proxy::", "command_line::", "health::", "pools_apart::", "start_order::"],
        needs: None,
    },
];

/// Runs a suite on the API server in `assets`, which is of this version of Kubernetes.
pub(crate) fn run(suite: &Suite, version: &str, assets: &Path) -> anyhow::Result<Cell> {
    let minor: u32 = version.split('.').nth(1).context("no minor version")?.parse()?;
    let left_out = suite.needs.filter(|(_, needed)| minor < *needed);
    let output = Command::new("cargo")
        .args(["test", "--quiet", "--workspace", "--all-features", "--locked", "--test", suite.target, "--"])
        .arg("--include-ignored")
        .args(suite.filters)
        .args(left_out.iter().flat_map(|(test, _)| ["--skip", test]))
        .env("KUBEBUILDER_ASSETS", assets)
        .env("ILB_TESTBED_KUBERNETES", version)
        .current_dir(in_checkout("."))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let (passed, failed) = counts(&text).with_context(|| format!("no test was run:\n{text}"))?;
    if output.status.success() && passed > 0 {
        let left_out = left_out.map(|(_, needed)| format!(", 1 needs 1.{needed}")).unwrap_or_default();
        return Ok(Cell::Passed(format!("{passed} tests{left_out}")));
    }
    println!("{text}");
    Ok(Cell::Failed(format!("{failed} of {} fail", passed + failed)))
}
