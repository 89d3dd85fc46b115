//! The space for a text.

/// Space for a text.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Room {
    /// Characters per line.
    pub(in crate::cli) width: usize,
    /// Number of lines; `None` for as many as needed.
    pub(in crate::cli) height: Option<usize>,
}
