//! The tree of all given values, each with its origin.

use std::collections::BTreeMap;

use config::{Config, Value, ValueKind};

use super::{layer::Layer, origin::Origin, problems::Problems};

/// Given values of all sources; defaults are not among them.
pub(super) struct Merged {
    tree: Value,
    /// Origins by the text that the config crate keeps with each value.
    origins: BTreeMap<String, Origin>,
    /// Beginnings of the paths that could not be read, such as `pools`; the empty one is that of every path.
    unreadable: Vec<String>,
}

/// A value as it is written, and its origin.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) text: String,
    pub(super) origin: Origin,
}

impl Merged {
    /// Merges `layers`, each of which overrides those before it.
    pub(super) fn new(layers: [Layer; 3], mut unreadable: Vec<String>, problems: &mut Problems) -> Self {
        let mut origins = BTreeMap::new();
        let mut builder = Config::builder();
        for mut layer in layers {
            origins.append(&mut layer.origins);
            builder = builder.add_source(layer);
        }
        let tree = match builder.build() {
            Ok(config) => config.cache,
            Err(error) => {
                problems.push(format!("the settings cannot be merged: {error}"));
                unreadable.push(String::new());
                Value::new(None, ValueKind::Nil)
            }
        };
        Self { tree, origins, unreadable }
    }

    /// Returns the value at `path`, if it is given.
    pub(super) fn value(&self, path: &str) -> Option<Given> {
        self.find(path).map(|value| self.given(value))
    }

    /// Returns the items of the list at `path`, if it is given.
    pub(super) fn list(&self, path: &str) -> Option<Vec<Given>> {
        match &self.find(path)?.kind {
            ValueKind::Array(items) => Some(items.iter().map(|item| self.given(item)).collect()),
            _ => None,
        }
    }

    /// Returns the origin of the value or list at `path`, if it is given.
    pub(super) fn origin(&self, path: &str) -> Option<Origin> {
        self.find(path).map(|value| self.origin_of(value))
    }

    /// Returns whether the value at `path` cannot be known because the file could not be read there.
    pub(super) fn is_unreadable(&self, path: &str) -> bool {
        self.unreadable.iter().any(|start| path.starts_with(start.as_str()))
    }

    /// Returns the number of pools, which is one unless the file lists several.
    pub(super) fn pools(&self) -> usize {
        match self.find("pools").map(|pools| &pools.kind) {
            Some(ValueKind::Array(pools)) => pools.len().max(1),
            _ => 1,
        }
    }

    fn find(&self, path: &str) -> Option<&Value> {
        let found = path.split('.').try_fold(&self.tree, |value, part| {
            let (name, index) = match part.split_once('[') {
                Some((name, index)) => (name, Some(index.trim_end_matches(']').parse::<usize>().ok()?)),
                None => (part, None),
            };
            let ValueKind::Table(table) = &value.kind else { return None };
            let value = table.get(name)?;
            match (index, &value.kind) {
                (None, _) => Some(value),
                (Some(index), ValueKind::Array(items)) => items.get(index),
                (Some(_), _) => None,
            }
        })?;
        (!matches!(found.kind, ValueKind::Nil)).then_some(found)
    }

    fn given(&self, value: &Value) -> Given {
        Given { text: value.clone().into_string().unwrap_or_default(), origin: self.origin_of(value) }
    }

    fn origin_of(&self, value: &Value) -> Origin {
        // Every value in the tree is from a layer, and each layer has the origins of its values.
        value.origin().and_then(|name| self.origins.get(name)).cloned().unwrap_or(Origin::Default)
    }
}
