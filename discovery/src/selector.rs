//! Selectors, parsed before they are used: a mistake is found at the start and with its place, not by a server later.

mod field;
mod label;

pub use field::FieldSelector;
pub(crate) use label::is_name;
pub use label::{Selector, SelectorError};
