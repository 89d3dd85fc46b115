//! Runs of `cargo test`.

/// Returns how many tests have passed and failed, by the output of one test binary.
pub fn counts(output: &str) -> Option<(u32, u32)> {
    let line = output.lines().find_map(|line| line.strip_prefix("test result: "))?;
    let mut parts = line.split("; ");
    let passed = parts.next()?.split(". ").nth(1)?.strip_suffix(" passed")?.parse().ok()?;
    let failed = parts.next()?.strip_suffix(" failed")?.parse().ok()?;
    Some((passed, failed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_a_run_is_read() {
        let passed =
            "\nrunning 3 tests\n...\ntest result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 9 filtered out\n";
        assert_eq!(counts(passed), Some((3, 0)));
        let failed =
            "test result: FAILED. 11 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s";
        assert_eq!(counts(failed), Some((11, 2)));
    }

    #[test]
    fn a_run_that_did_not_happen_has_no_counts() {
        assert_eq!(counts("error: no test target named `discovery`"), None);
        assert_eq!(counts("test result: broken"), None);
    }
}
