//! Parts of a bench that a caller asks for by name.

use anyhow::{Context, ensure};

/// The parts to run; all where none is named.
#[derive(Debug, Default)]
pub struct Selection {
    names: Vec<String>,
}

impl Selection {
    /// Parses a list of names with commas between them, such as `steady,node-lost`. An empty one selects everything. The
    /// error for a name that is not `known` lists those that are.
    pub fn from_list(list: &str, known: &[&str]) -> anyhow::Result<Self> {
        Self::from_names(list.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()), known)
    }

    /// Selects these names.
    pub fn from_names(names: impl IntoIterator<Item = String>, known: &[&str]) -> anyhow::Result<Self> {
        let names: Vec<_> = names.into_iter().collect();
        for name in &names {
            ensure!(known.contains(&name.as_str()), "there is no '{name}'; the names are {}", known.join(", "));
        }
        Ok(Self { names })
    }

    /// Reads the list in an environment variable; everything is selected if there is no such variable.
    pub fn from_variable(name: &str, known: &[&str]) -> anyhow::Result<Self> {
        let list = std::env::var(name).unwrap_or_default();
        Self::from_list(&list, known).with_context(|| format!("the variable {name} is wrong"))
    }

    /// Adds the names of another selection to those of this one.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.names.extend(other.names);
        self
    }

    /// Returns whether the part with this name is to run.
    pub fn has(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|selected| selected == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 3] = ["steady", "full", "node-lost"];

    #[test]
    fn only_what_is_named_runs() {
        let selection = Selection::from_list("steady, node-lost,", &KNOWN).unwrap();
        assert_eq!(KNOWN.map(|name| selection.has(name)), [true, false, true]);
    }

    #[test]
    fn everything_runs_if_nothing_is_named() {
        let selection = Selection::from_list("", &KNOWN).unwrap();
        assert!(KNOWN.iter().all(|name| selection.has(name)));
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_names_that_there_are() {
        let error = Selection::from_list("steady,node-list", &KNOWN).unwrap_err().to_string();
        assert_eq!(error, "there is no 'node-list'; the names are steady, full, node-lost");
    }

    #[test]
    fn two_selections_add_up() {
        let of = |list| Selection::from_list(list, &KNOWN).unwrap();
        let both = of("steady").and(of("full"));
        assert_eq!(KNOWN.map(|name| both.has(name)), [true, true, false]);
    }
}
