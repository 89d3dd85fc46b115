//! The faults that ilb is built for, and the tests of each.

mod discovery;
mod process;
mod row;
mod traefik;

pub(crate) use self::row::{Row, Test};

/// Returns all rows.
pub(crate) fn rows() -> impl Iterator<Item = &'static Row> {
    [discovery::ROWS, traefik::ROWS, process::ROWS].into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs};

    use ilb_testbed::in_checkout;

    use super::*;
    use crate::{fault::Fault, setup::Setup};

    #[test]
    fn every_test_that_is_named_exists() {
        for Test { file, name } in rows().flat_map(|row| row.tests) {
            let text = fs::read_to_string(in_checkout(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
            let is_there = text.contains(&format!("fn {name}("));
            assert!(is_there, "{file} has no {name}: name the test that keeps this promise now in rows.rs");
        }
    }

    #[test]
    fn every_class_of_faults_has_a_row_and_every_row_a_test() {
        let faults = Fault::one_of_each(Setup::Fleet, &mut |_| 0);
        let classes: BTreeSet<_> = faults.into_iter().map(Fault::class).collect();
        let named: BTreeSet<_> = rows().flat_map(|row| row.chaos).copied().collect();
        assert_eq!(classes, named);
        for row in rows() {
            assert!(!row.tests.is_empty(), "{}", row.fault);
        }
    }
}
