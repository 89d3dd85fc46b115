//! From the merged tree to typed values, with every problem on the way and the source of each value.

use std::fmt;

use config::{Value, ValueKind};

use super::{keys::KEYS, keys::Key, problems::Problems};

/// A setting as it holds, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Effective {
    /// Its place: `log.level`, `pools[0].selector`.
    pub(crate) path: String,
    /// Without secrets.
    pub(crate) value: String,
    /// The file and line, the variable or the flag; `default`.
    pub(crate) source: String,
}

/// Reads the tree, key by key.
pub(super) struct Reading<'a> {
    pub(super) tree: &'a Value,
    pub(super) problems: &'a mut Problems,
    pub(super) effective: &'a mut Vec<Effective>,
}

impl Reading<'_> {
    /// The value at `path`, parsed; nothing if it is not given, or wrong.
    pub(super) fn one<T, E: fmt::Display>(
        &mut self,
        path: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let Some(value) = find(self.tree, path) else {
            self.tell_default(path);
            return None;
        };
        let (origin, text) = (origin(value), text(value));
        self.tell(path, &text, &origin);
        self.parsed(path, &origin, &text, parse)
    }

    /// The values of the list at `path`, parsed; nothing if it is not given. Wrong ones are left out.
    pub(super) fn many<T, E: fmt::Display>(
        &mut self,
        path: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        let Some(value) = find(self.tree, path) else {
            self.tell_default(path);
            return None;
        };
        let ValueKind::Array(items) = &value.kind else { return None };
        let texts: Vec<_> = items.iter().map(text).collect();
        self.tell(path, &texts.join(", "), &origin(value));
        let parsed = items.iter().filter_map(|item| self.parsed(path, &origin(item), &text(item), &parse));
        Some(parsed.collect())
    }

    /// Where the value at `path` comes from, if there is one.
    pub(super) fn origin(&self, path: &str) -> Option<String> {
        find(self.tree, path).map(|value| named(path, &origin(value)))
    }

    /// How many pools there are: one without a file that says otherwise.
    pub(super) fn pools(&self) -> usize {
        match find(self.tree, "pools").map(|pools| &pools.kind) {
            Some(ValueKind::Array(pools)) => pools.len().max(1),
            _ => 1,
        }
    }

    fn parsed<T, E: fmt::Display>(
        &mut self,
        path: &str,
        origin: &str,
        text: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        match parse(text.trim()) {
            Ok(parsed) => Some(parsed),
            Err(why) => {
                let (name, value) = (named(path, origin), masked(text));
                let form = key(path).map_or("another value", |key| key.form);
                self.problems.push(format!("{name}={value:?} cannot be used ({why}): give {form}"));
                None
            }
        }
    }

    fn tell(&mut self, path: &str, value: &str, source: &str) {
        self.effective.push(Effective { path: path.to_owned(), value: masked(value), source: source.to_owned() });
    }

    fn tell_default(&mut self, path: &str) {
        let default = key(path).map_or("", |key| key.default);
        self.effective.push(Effective {
            path: path.to_owned(),
            value: default.to_owned(),
            source: "default".to_owned(),
        });
    }
}

/// How a value is named to its author: a variable and a flag by themselves, a place in a file with its path.
fn named(path: &str, origin: &str) -> String {
    let in_file = origin.rsplit_once(':').is_some_and(|(_, line)| line.parse::<u64>().is_ok());
    if in_file { format!("{origin}: {path}") } else { origin.to_owned() }
}

fn key(path: &str) -> Option<&'static Key> {
    let pattern = match (path.find('['), path.find(']')) {
        (Some(from), Some(to)) => format!("{}[]{}", &path[..from], &path[to + 1..]),
        _ => path.to_owned(),
    };
    KEYS.iter().find(|key| key.path == pattern)
}

fn find<'a>(tree: &'a Value, path: &str) -> Option<&'a Value> {
    let found = path.split('.').try_fold(tree, |value, part| {
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

fn origin(value: &Value) -> String {
    value.origin().unwrap_or_default().to_owned()
}

fn text(value: &Value) -> String {
    value.clone().into_string().unwrap_or_default()
}

/// Without the user and the password that a URL may hold.
fn masked(text: &str) -> String {
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

    #[test]
    fn a_place_in_a_file_is_named_with_its_path_and_a_variable_alone() {
        assert_eq!(named("log.level", "/etc/ilb.yaml:7"), "/etc/ilb.yaml:7: log.level");
        assert_eq!(named("log.level", "LOG_LEVEL"), "LOG_LEVEL");
    }
}
