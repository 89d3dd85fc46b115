//! The settings in effect as text, each with its origin, as `ilb check` shows them.

use std::fmt::Write as _;

use serde::Serialize;

use super::{
    definitions::KEYS,
    merged::Merged,
    origin::Origin,
    setting::{Key, Shape},
};

/// A setting in effect.
#[allow(clippy::struct_field_names, reason = "it is a field of a document")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Effective {
    /// Place in the file: `log.level`, `pools[0].selector`.
    pub(crate) path: String,
    /// Value as it is written, without secrets, or words for people.
    pub(crate) value: String,
    /// Value for programs: a text, or the texts of a list; `null` if there is none.
    pub(crate) effective: Option<Value>,
    pub(crate) source: Origin,
}

/// Value of a setting for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum Value {
    One(String),
    Several(Vec<String>),
}

/// Widest column of values in characters; longer values stand out of it.
const MAX_VALUE_WIDTH: usize = 60;

impl Effective {
    /// Lists all settings: those of the process, then those of each pool.
    /// `terminal` is whether stderr is one, on which some defaults depend.
    pub(super) fn all(merged: &Merged, terminal: bool) -> Vec<Self> {
        let (of_pools, of_process): (Vec<_>, Vec<_>) = KEYS.iter().partition(|key| key.is_of_pool());
        let process = of_process.iter().map(|key| Self::new(merged, terminal, key, 0));
        let pools =
            (0..merged.pools()).flat_map(|pool| of_pools.iter().map(move |key| Self::new(merged, terminal, key, pool)));
        process.chain(pools).collect()
    }

    fn new(merged: &Merged, terminal: bool, key: &Key, pool: usize) -> Self {
        let path = key.path_in_pool(pool);
        let given = match key.shape {
            Shape::Single => merged.value(&path).map(|given| Value::One(masked(&given.text))),
            Shape::List | Shape::NamedList => merged
                .list(&path)
                .map(|items| Value::Several(items.into_iter().map(|item| masked(&item.text)).collect())),
        };
        let value = match &given {
            Some(Value::One(text)) => text.clone(),
            Some(Value::Several(texts)) => texts.join(", "),
            None => key.default.to_string(),
        };
        let default = || {
            let text = key.default.text(terminal)?.to_owned();
            Some(if key.shape == Shape::Single { Value::One(text) } else { Value::Several(vec![text]) })
        };
        let effective = given.or_else(default);
        Self { value, effective, source: merged.origin(&path).unwrap_or(Origin::Default), path }
    }
}

/// Formats `settings` as lines of path, value and origin.
pub(super) fn table(settings: &[Effective]) -> String {
    let width =
        |column: fn(&Effective) -> &str| settings.iter().map(|setting| column(setting).len()).max().unwrap_or(0);
    let (path, value) = (width(|setting| &setting.path), width(|setting| &setting.value).min(MAX_VALUE_WIDTH));
    let mut text = String::new();
    for setting in settings {
        let _ = writeln!(text, "{:path$}  {:value$}  {}", setting.path, setting.value, setting.source);
    }
    text
}

/// Hides the user and the password that a URL may contain.
pub(crate) fn masked(text: &str) -> String {
    match (text.find("://"), text.rfind('@')) {
        (Some(from), Some(to)) if from < to => format!("{}://***{}", &text[..from], &text[to..]),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_url_should_not_hold_is_not_shown() {
        assert_eq!(masked("http://me:secret@traefik:8080/api"), "http://***@traefik:8080/api");
        assert_eq!(masked("app=a"), "app=a");
    }
}
