//! A row of the page, and what many rows say.

/// A kind of fault.
pub(crate) struct Row {
    pub(crate) fault: &'static str,
    /// Tests for it alone.
    pub(crate) tests: &'static [Test],
    /// Classes of faults of `make chaos`.
    pub(crate) chaos: &'static [&'static str],
    /// Time after which ilb shows it, where that has a bound; measured times are added.
    pub(crate) noticed: &'static str,
    /// Effect on clients.
    pub(crate) clients: &'static str,
}

/// A test, or a check of `make cluster-test`.
pub(crate) struct Test {
    /// File in the checkout.
    pub(crate) file: &'static str,
    /// Name of the function.
    pub(crate) name: &'static str,
}

pub(super) const fn test(file: &'static str, name: &'static str) -> Test {
    Test { file, name }
}

pub(super) const fn row(
    fault: &'static str,
    tests: &'static [Test],
    chaos: &'static [&'static str],
    noticed: &'static str,
    clients: &'static str,
) -> Row {
    Row { fault, tests, chaos, noticed, clients }
}

/// Text for a fault that clients do not notice.
pub(super) const NOTHING: &str = "nothing";
/// Text for a fault during which changes wait.
pub(super) const LAST_GOOD: &str = "the backends known last stay in use; changes wait";
