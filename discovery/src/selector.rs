//! Selectors, parsed before they are used: a mistake is reported at the start with its place, not later by a server.

mod field;
mod label;

pub use field::FieldSelector;
pub use label::{InvalidSelector, Selector};
pub(crate) use label::{LABEL_VALUE_RULE, is_label_value};
