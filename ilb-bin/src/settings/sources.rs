//! Where settings come from: the file, then variables, then flags, put on top of each other by the config crate.

use std::path::{Path, PathBuf};

use config::{Config, ConfigError, Map, Source, Value, ValueKind};

use super::{
    file::{self, Located, Node},
    keys::{KEYS, Key, Kind},
    problems::Problems,
};

/// What a process was given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inputs {
    /// The file; `ILB_CONFIG` counts where it is not given.
    pub(crate) file: Option<PathBuf>,
    /// The environment. What is no Unicode is shown with replacements.
    pub(crate) variables: Vec<(String, String)>,
    /// By the name of the flag, without dashes.
    pub(crate) flags: Vec<(String, String)>,
    /// Whether a person reads the log as it comes.
    pub(crate) terminal: bool,
}

/// The variable that names the file.
pub(super) const FILE: &str = "ILB_CONFIG";

impl Inputs {
    /// The file that settings are read from, if any.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        let named = || self.variables.iter().find(|(name, value)| name == FILE && !value.is_empty());
        self.file.clone().or_else(|| named().map(|(_, path)| PathBuf::from(path)))
    }

    /// All of it in one tree, each value with its origin. What is wrong already goes to `problems`.
    pub(super) fn merged(&self, problems: &mut Problems) -> Value {
        let file = self.file().map(|path| (file::read(&path), path));
        let (tree, path) = match file {
            Some((Ok(tree), path)) => (Some(tree), path),
            Some((Err(problem), path)) => {
                problems.push(problem);
                (None, path)
            }
            None => (None, PathBuf::new()),
        };
        let pools = tree.as_ref().map_or(0, pools);
        let file = tree.map(|tree| Layer::of_file(tree, &path, problems)).unwrap_or_default();
        let variables = Layer::of_variables(&self.variables, pools, problems);
        let flags = Layer::of_flags(&self.flags, pools, problems);
        match Config::builder().add_source(file).add_source(variables).add_source(flags).build() {
            Ok(config) => config.cache,
            Err(error) => {
                problems.push(format!("the settings cannot be put together: {error}"));
                Value::new(None, ValueKind::Nil)
            }
        }
    }
}

/// How many pools the file has.
fn pools(tree: &Located) -> usize {
    let Node::Table(entries) = &tree.node else { return 0 };
    entries.iter().find(|entry| entry.key == "pools").map_or(0, |entry| match &entry.value.node {
        Node::Many(pools) => pools.len(),
        _ => 0,
    })
}

/// The values of one source by their path, such as `pools[0].selector`.
#[derive(Clone, Debug, Default)]
struct Layer(Map<String, Value>);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}

impl Layer {
    fn set(&mut self, path: String, origin: &str, value: ValueKind) {
        self.0.insert(path, Value::new(Some(&origin.to_owned()), value));
    }

    fn of_file(tree: Located, path: &Path, problems: &mut Problems) -> Self {
        let mut reading = Reading { path, layer: Self::default(), problems };
        match tree.node {
            Node::Nothing => {}
            Node::Table(_) => reading.table("", "", tree),
            _ => reading.problem(tree.line, "the file is no table of settings: see docs/settings.md"),
        }
        reading.layer
    }

    fn of_variables(variables: &[(String, String)], pools: usize, problems: &mut Problems) -> Self {
        let mut layer = Self::default();
        let value_of = |name: &str| {
            let named = variables.iter().find(|(other, _)| other == name);
            named.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
        };
        for key in KEYS {
            let mut given = key.variables.iter().filter_map(|name| Some((*name, value_of(name)?)));
            let Some((name, value)) = given.next() else { continue };
            if let Some((other, _)) = given.next() {
                problems.push(format!("{name} and {other} are the same setting: remove one of them"));
            }
            layer.put(key, name, value, pools, problems);
        }
        let mut unknown: Vec<_> = variables.iter().filter(|(name, value)| is_unknown(name, value)).collect();
        unknown.sort();
        for (name, _) in unknown {
            problems.push(format!("{name} is not a setting: use one of {}, or remove it", own_variables()));
        }
        layer
    }

    fn of_flags(flags: &[(String, String)], pools: usize, problems: &mut Problems) -> Self {
        let mut layer = Self::default();
        for key in KEYS {
            if let Some((flag, value)) = flags.iter().find(|(flag, _)| *flag == key.flag()) {
                layer.put(key, &format!("--{flag}"), value.trim(), pools, problems);
            }
        }
        layer
    }

    /// `value` for `key`, as `origin` gives it, in a process whose file has so many pools.
    fn put(&mut self, key: &Key, origin: &str, value: &str, pools: usize, problems: &mut Problems) {
        let path = match key.of_pool() {
            Some(_) if pools > 1 => {
                problems.push(format!(
                    "{origin} describes the only pool, and the file has {pools}: set {} in the file instead",
                    key.path
                ));
                return;
            }
            Some(of_pool) => format!("pools[0].{of_pool}"),
            None => key.path.to_owned(),
        };
        let value = match key.kind {
            Kind::One => ValueKind::String(value.to_owned()),
            Kind::Many => {
                let items = value.split(',').map(str::trim).filter(|item| !item.is_empty());
                ValueKind::Array(items.map(|item| Value::new(Some(&origin.to_owned()), item)).collect())
            }
        };
        self.set(path, origin, value);
    }
}

/// Whether a variable looks like one of ours and is none.
fn is_unknown(name: &str, value: &str) -> bool {
    let Some(rest) = name.strip_prefix("ILB_") else { return false };
    if name == FILE || KEYS.iter().any(|key| key.variables.contains(&name)) {
        return false;
    }
    // A Service named `ilb`, or `ilb-metrics`, makes the kubelet set ILB_SERVICE_HOST, ILB_METRICS_PORT_9090_TCP and so on.
    let of_service = ["SERVICE_HOST", "SERVICE_PORT"].iter().any(|part| rest.contains(part));
    let of_port = rest == "PORT" || rest.starts_with("PORT_") || rest.contains("_PORT_");
    !(of_service || of_port || rest.ends_with("_PORT") && value.contains("://"))
}

fn own_variables() -> String {
    let own: Vec<_> = KEYS.iter().filter_map(|key| key.variables.first().copied()).collect();
    own.join(", ")
}

/// The walk through a file.
struct Reading<'a> {
    path: &'a Path,
    layer: Layer,
    problems: &'a mut Problems,
}

impl Reading<'_> {
    /// A table at `path` in the tree, which the keys know as `pattern`.
    fn table(&mut self, path: &str, pattern: &str, table: Located) {
        let Node::Table(entries) = table.node else {
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
                self.problem(entry.line, &format!("{path} is not a setting: give {}", accepted(parent)));
            }
        }
    }

    fn pools(&mut self, pools: Located) {
        match pools.node {
            Node::Many(items) if !items.is_empty() => {
                for (index, item) in items.into_iter().enumerate() {
                    // So that a pool without a key is one as well.
                    let empty = ValueKind::Table(Map::new());
                    self.layer.set(format!("pools[{index}]"), &self.origin(item.line), empty);
                    self.table(&format!("pools[{index}]"), "pools[]", item);
                }
            }
            _ => self.problem(pools.line, "pools is a list: give at least one pool, such as [{selector: app=my-app}]"),
        }
    }

    fn value(&mut self, path: String, key: &Key, value: Located) {
        let origin = self.origin(value.line);
        match (value.node, key.kind) {
            (Node::Nothing, _) => {} // as if it were not there
            (Node::One(text), Kind::One) => self.layer.set(path, &origin, ValueKind::String(text)),
            (Node::One(text), Kind::Many) => {
                let item = Value::new(Some(&origin), text);
                self.layer.set(path, &origin, ValueKind::Array(vec![item]));
            }
            (Node::Many(items), Kind::Many) => {
                let mut texts = Vec::new();
                for item in items {
                    match item.node {
                        Node::One(text) => texts.push(Value::new(Some(&self.origin(item.line)), text)),
                        _ => self.problem(item.line, &format!("{path} is a list of texts: give {}", key.form)),
                    }
                }
                self.layer.set(path, &origin, ValueKind::Array(texts));
            }
            (_, Kind::One) => self.problem(value.line, &format!("{path} is a single value: give {}", key.form)),
            (_, Kind::Many) => self.problem(value.line, &format!("{path} is a list: give {}", key.form)),
        }
    }

    fn origin(&self, line: u64) -> String {
        format!("{}:{line}", self.path.display())
    }

    fn problem(&mut self, line: u64, problem: &str) {
        self.problems.push(format!("{}: {problem}", self.origin(line)));
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The keys of the table that `pattern` leads to.
fn accepted(pattern: &str) -> String {
    let prefix = if pattern.is_empty() { String::new() } else { format!("{pattern}.") };
    let below = KEYS.iter().filter_map(|key| key.path.strip_prefix(&prefix));
    let mut names: Vec<_> = below.filter_map(|rest| rest.split(['.', '[']).next()).collect();
    names.dedup();
    format!("one of {}", names.join(", "))
}
