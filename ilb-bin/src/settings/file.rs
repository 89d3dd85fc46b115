//! The file, with the line of each value.

use std::{fmt, fs, path::Path};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::Spanned;
use toml::de::{DeTable, DeValue};

/// A value and where it starts.
#[derive(Debug)]
pub(super) struct Located {
    /// Counted from 1.
    pub(super) line: u64,
    pub(super) node: Node,
}

#[derive(Debug)]
pub(super) enum Node {
    Nothing,
    One(String),
    Many(Vec<Located>),
    /// In the order of the file. No key is there twice.
    Table(Vec<Entry>),
}

/// A key of a table, and its value.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    /// Of the key.
    pub(super) line: u64,
    pub(super) value: Located,
}

/// What the file at `path` says; else one line that tells what is wrong with it.
pub(super) fn read(path: &Path) -> Result<Located, String> {
    let shown = path.display();
    let parse = match path.extension().and_then(|extension| extension.to_str()) {
        Some("yaml" | "yml" | "json") => yaml,
        Some("toml") => toml,
        _ => return Err(format!("{shown}: give a file whose name ends in .yaml, .yml, .json or .toml")),
    };
    let text =
        fs::read_to_string(path).map_err(|e| format!("{shown}: it cannot be read ({e}): give a readable file"))?;
    parse(&text).map_err(|(line, problem)| format!("{shown}:{line}: {problem}"))
}

fn yaml(text: &str) -> Result<Located, (u64, String)> {
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let line = error.location().map_or(1, |at| at.line());
        let text = error.to_string();
        let problem = text.lines().next().unwrap_or_default();
        // The library tells the place in its text too: once is enough.
        (line, problem.rsplit_once(" at line ").map_or(problem, |(problem, _)| problem).to_owned())
    })
}

fn toml(text: &str) -> Result<Located, (u64, String)> {
    let line = |at: usize| text.bytes().take(at).filter(|byte| *byte == b'\n').count() as u64 + 1;
    let table = DeTable::parse(text)
        .map_err(|error| (error.span().map_or(1, |span| line(span.start)), error.message().to_owned()))?;
    Ok(Located { line: 1, node: of_table(table.into_inner(), &line) })
}

fn of_table(table: DeTable<'_>, line: &impl Fn(usize) -> u64) -> Node {
    let mut entries: Vec<_> = table
        .into_iter()
        .map(|(key, value)| Entry {
            line: line(key.span().start),
            key: key.into_inner().into_owned(),
            value: Located { line: line(value.span().start), node: of_value(value.into_inner(), line) },
        })
        .collect();
    entries.sort_by_key(|entry| entry.line);
    Node::Table(entries)
}

fn of_value(value: DeValue<'_>, line: &impl Fn(usize) -> u64) -> Node {
    match value {
        DeValue::String(text) => Node::One(text.into_owned()),
        DeValue::Integer(number) => Node::One(number.as_str().to_owned()),
        DeValue::Float(number) => Node::One(number.as_str().to_owned()),
        DeValue::Boolean(yes) => Node::One(yes.to_string()),
        DeValue::Datetime(moment) => Node::One(moment.to_string()),
        DeValue::Array(items) => {
            let item = |item: toml::Spanned<DeValue<'_>>| Located {
                line: line(item.span().start),
                node: of_value(item.into_inner(), line),
            };
            Node::Many(items.into_iter().map(item).collect())
        }
        DeValue::Table(table) => of_table(table, line),
    }
}

impl<'de> Deserialize<'de> for Located {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, referenced, .. } = Spanned::deserialize(deserializer)?;
        Ok(Self { line: referenced.line(), node: value })
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyNode)
    }
}

struct AnyNode;

impl<'de> Visitor<'de> for AnyNode {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, a list or a table")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Nothing)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::One(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::One(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::One(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::One(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::One(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut many = Vec::new();
        while let Some(item) = items.next_element()? {
            many.push(item);
        }
        Ok(Node::Many(many))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut table = Vec::new();
        while let Some(key) = entries.next_key::<Spanned<String>>()? {
            let value = entries.next_value()?;
            table.push(Entry { key: key.value, line: key.referenced.line(), value });
        }
        Ok(Node::Table(table))
    }
}
