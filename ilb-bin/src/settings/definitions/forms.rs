//! The accepted forms that several settings share.

pub(super) const BOOLEAN_FORM: &str = "true or false";
pub(super) const DURATION_FORM: &str = "a duration with units such as 500ms, 1s or 1m30s, at most 8760h";
