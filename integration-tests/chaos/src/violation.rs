//! What a run looks for.

/// A contradiction to the model.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Promise that is broken. A replay that breaks the same one is a replay of this violation.
    pub kind: &'static str,
    /// State that should hold.
    pub expected: String,
    /// State that was seen instead.
    pub seen: String,
}
