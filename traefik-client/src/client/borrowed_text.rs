//! Texts that borrow from a response.

use std::{
    borrow::{Borrow, Cow},
    fmt,
};

use serde::Deserialize;

/// A text that borrows from the response it was parsed from, since a response contains several texts per backend.
#[derive(Debug, Default, Deserialize, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct BorrowedText<'a>(#[serde(borrow)] Cow<'a, str>);

impl BorrowedText<'_> {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Lets a map with such keys be searched by `&str`.
impl Borrow<str> for BorrowedText<'_> {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for BorrowedText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
