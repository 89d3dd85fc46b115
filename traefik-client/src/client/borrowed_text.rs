use std::{
    borrow::{Borrow, Cow},
    fmt,
};

use serde::Deserialize;

/// A text of an answer, which stays where it is in the answer: answers hold several texts for each backend.
#[derive(Debug, Default, Deserialize, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct BorrowedText<'a>(#[serde(borrow)] Cow<'a, str>);

impl BorrowedText<'_> {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A map finds it by what it says.
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
