//! Takes the values of the file, and reports everything in it that is not a setting.

use std::path::Path;

use config::{Map, Value};

use super::{
    definitions::KEYS,
    file::{Entry, Located, Node},
    layer::Layer,
    origin::Origin,
    problems::Problems,
    setting::{Key, Shape},
};

/// Values of a file.
#[derive(Default)]
pub(super) struct FileLayer {
    pub(super) layer: Layer,
    /// Beginnings of the paths whose values have the wrong shape, which has been reported.
    pub(super) unreadable: Vec<String>,
    /// Number of pools in the file.
    pub(super) pools: usize,
}

/// Walks through the content of a file.
struct Walk<'a> {
    path: &'a Path,
    layer: Layer,
    unreadable: Vec<String>,
    problems: &'a mut Problems,
}

impl FileLayer {
    /// Takes the settings from `content`, that of the file at `path`.
    pub(super) fn new(path: &Path, content: Located, problems: &mut Problems) -> Self {
        let pools = count_pools(&content);
        let mut walk = Walk { path, layer: Layer::default(), unreadable: Vec::new(), problems };
        match content.node {
            Node::Null => {}
            Node::Table(_) => walk.table("", "", content),
            _ => {
                walk.unreadable.push(String::new());
                walk.problem(content.line, "the file is not a table of settings: see docs/settings.md");
            }
        }
        Self { layer: walk.layer, unreadable: walk.unreadable, pools }
    }

    /// Stands for a file that could not be read, which has been reported.
    pub(super) fn unreadable() -> Self {
        Self { unreadable: vec![String::new()], ..Self::default() }
    }
}

fn count_pools(content: &Located) -> usize {
    let Node::Table(entries) = &content.node else { return 0 };
    entries.iter().find(|entry| entry.key == "pools").map_or(0, |entry| match &entry.value.node {
        Node::List(pools) => pools.len(),
        _ => 0,
    })
}

impl Walk<'_> {
    /// Takes the table at `path`; the definitions know it as `pattern`.
    fn table(&mut self, path: &str, pattern: &str, table: Located) {
        let Node::Table(entries) = table.node else {
            self.unreadable.push(path.to_owned());
            self.problem(table.line, &format!("{path} is a table: give {}", accepted(pattern)));
            return;
        };
        for entry in entries {
            let (path, pattern) = (join(path, &entry.key), join(pattern, &entry.key));
            if let Some(key) = KEYS.iter().find(|key| key.path == pattern) {
                self.value(path, key, entry.value);
            } else if pattern == "pools" {
                self.pools(entry.value);
            } else if KEYS.iter().any(|key| key.path.starts_with(&format!("{pattern}."))) {
                self.table(&path, &pattern, entry.value);
            } else {
                let parent = pattern.rsplit_once('.').map_or("", |(parent, _)| parent);
                let meant = nearest(&pattern).map(|name| format!("did you mean {name}? ")).unwrap_or_default();
                self.problem(entry.line, &format!("{path} is not a setting: {meant}give {}", accepted(parent)));
            }
        }
    }

    fn pools(&mut self, pools: Located) {
        match pools.node {
            Node::List(items) if !items.is_empty() => {
                for (index, item) in items.into_iter().enumerate() {
                    let path = format!("pools[{index}]");
                    // A pool without any key is a pool as well.
                    self.layer.set(path.clone(), &self.origin(item.line), Map::<String, Value>::new());
                    self.table(&path, "pools[]", item);
                }
            }
            _ => {
                self.unreadable.push("pools".to_owned());
                self.problem(pools.line, "pools is a list: give at least one pool, such as [{selector: app=my-app}]");
            }
        }
    }

    fn value(&mut self, path: String, key: &Key, value: Located) {
        let origin = self.origin(value.line);
        match (value.node, key.shape) {
            (Node::Null, _) => {} // as if it were not there
            (Node::Scalar(text), Shape::Single) => self.layer.set(path, &origin, text),
            (Node::Scalar(text), _) => self.layer.set_list(path, &origin, [(origin.clone(), text)]),
            (Node::List(items), Shape::List | Shape::NamedList) => {
                let mut texts = Vec::new();
                for (index, item) in items.into_iter().enumerate() {
                    let line = item.line;
                    match (item.node, key.shape) {
                        (Node::Scalar(text), _) => texts.push((self.origin(line), text)),
                        (Node::Table(fields), Shape::NamedList) => {
                            let text = self.named(&format!("{path}[{index}]"), key, line, fields);
                            texts.extend(text.map(|text| (self.origin(line), text)));
                        }
                        (_, Shape::NamedList) => {
                            self.problem(line, &format!("{path} is a list of texts or tables: give {}", key.form));
                        }
                        _ => self.problem(line, &format!("{path} is a list of texts: give {}", key.form)),
                    }
                }
                self.layer.set_list(path, &origin, texts);
            }
            (_, Shape::Single) => {
                self.problem(value.line, &format!("{path} is a single value: give {}", key.form));
                self.unreadable.push(path);
            }
            (_, Shape::List | Shape::NamedList) => {
                self.problem(value.line, &format!("{path} is a list: give {}", key.form));
            }
        }
    }

    /// Returns the text that stands for the table at `path`, which has a name and a URL.
    fn named(&mut self, path: &str, key: &Key, line: u64, fields: Vec<Entry>) -> Option<String> {
        let (mut name, mut url) = (None, None);
        for Entry { key: field, line, value } in fields {
            let place = match field.as_str() {
                "name" => &mut name,
                "url" => &mut url,
                _ => {
                    self.problem(line, &format!("{path}.{field} is not a setting: give name and url"));
                    continue;
                }
            };
            let Node::Scalar(text) = value.node else {
                self.problem(value.line, &format!("{path}.{field} is a text: give {}", key.form));
                return None;
            };
            *place = Some(text);
        }
        for (field, value) in [("name", &name), ("url", &url)] {
            if value.is_none() {
                self.problem(line, &format!("{path} has no {field}: give {}", key.form));
            }
        }
        Some(format!("{}={}", name?, url?))
    }

    fn origin(&self, line: u64) -> Origin {
        Origin::File { path: self.path.to_owned(), line }
    }

    fn problem(&mut self, line: u64, problem: &str) {
        self.problems.push(format!("{}: {problem}", self.origin(line)));
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Returns the last part of the setting or section beside `pattern` that is spelt nearly like it.
fn nearest(pattern: &str) -> Option<&'static str> {
    let (parent, name) = pattern.rsplit_once('.').unwrap_or(("", pattern));
    let beside = KEYS.iter().filter_map(|key| {
        let rest = if parent.is_empty() { key.path } else { key.path.strip_prefix(parent)?.strip_prefix('.')? };
        rest.split(['.', '[']).next()
    });
    let distances = beside.map(|known| (distance(&known.to_lowercase(), &name.to_lowercase()), known));
    // A letter in three may be wrong.
    distances.filter(|(distance, known)| *distance * 3 <= known.len().max(3)).min().map(|(_, known)| known)
}

/// Counts the letters that have to be inserted, removed or replaced to make `a` of `b`.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.chars().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.chars().count()]
}

/// Lists the keys of the table at `pattern`.
fn accepted(pattern: &str) -> String {
    let prefix = if pattern.is_empty() { String::new() } else { format!("{pattern}.") };
    let below = KEYS.iter().filter_map(|key| key.path.strip_prefix(&prefix));
    let mut names: Vec<_> = below.filter_map(|rest| rest.split(['.', '[']).next()).collect();
    names.dedup();
    format!("one of {}", names.join(", "))
}
