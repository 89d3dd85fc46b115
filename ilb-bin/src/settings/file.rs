//! Parses the file of settings, and keeps the line of each key and value.

use std::{fmt, io, path::Path};

use anyhow::{anyhow, bail};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::Spanned;
use toml::de::{DeTable, DeValue};

/// A value and the line at which it starts.
#[derive(Debug)]
pub(super) struct Located {
    /// Counted from 1.
    pub(super) line: u64,
    pub(super) node: Node,
}

/// A value of any shape.
#[derive(Debug)]
pub(super) enum Node {
    Null,
    /// A text, a number or a boolean, as text.
    Scalar(String),
    List(Vec<Located>),
    /// Entries in the order of the file; no key occurs twice.
    Table(Vec<Entry>),
}

/// A key of a table, and its value.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    /// Line of the key, counted from 1.
    pub(super) line: u64,
    pub(super) value: Located,
}

/// A place at which the file is not valid YAML, JSON or TOML.
struct SyntaxError {
    /// Counted from 1.
    line: u64,
    message: String,
}

/// Maximum nesting depth of YAML: more than the settings have, and little enough for the stack of any thread. The parser of
/// TOML has a limit of its own.
const MAX_DEPTH: usize = 16;

/// Parses the `text` of the file at `path`, unless it could not be read. An error is one line, and begins with the path.
pub(super) fn parse(path: &Path, text: io::Result<String>) -> anyhow::Result<Located> {
    let shown = path.display();
    let parse = match path.extension().and_then(|extension| extension.to_str()) {
        Some("yaml" | "yml" | "json") => parse_yaml,
        Some("toml") => parse_toml,
        _ => bail!("{shown}: give a file whose name ends in .yaml, .yml, .json or .toml"),
    };
    let text = text.map_err(|error| match error.raw_os_error() {
        Some(_) => anyhow!("{shown}: it cannot be read ({error}): give a readable file"),
        None => anyhow!("{shown}: {error}"),
    })?;
    parse(&text).map_err(|SyntaxError { line, message }| anyhow!("{shown}:{line}: {message}"))
}

/// Parses YAML, and JSON as the part of YAML that it is.
fn parse_yaml(text: &str) -> Result<Located, SyntaxError> {
    let budget = serde_saphyr::budget! { max_depth: MAX_DEPTH };
    let options = serde_saphyr::options! { with_snippet: false, budget: budget };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let line = error.location().map_or(1, |at| at.line());
        let text = error.to_string();
        let message = text.lines().next().unwrap_or_default();
        // The library appends the place to its text too; the caller shows it already.
        let message = message.rsplit_once(" at line ").map_or(message, |(message, _)| message).to_owned();
        SyntaxError { line, message }
    })
}

fn parse_toml(text: &str) -> Result<Located, SyntaxError> {
    let line_at = |at: usize| text.bytes().take(at).filter(|byte| *byte == b'\n').count() as u64 + 1;
    let table = DeTable::parse(text).map_err(|error| SyntaxError {
        line: error.span().map_or(1, |span| line_at(span.start)),
        message: error.message().to_owned(),
    })?;
    Ok(Located { line: 1, node: from_toml_table(table.into_inner(), &line_at) })
}

fn from_toml_table(table: DeTable<'_>, line_at: &impl Fn(usize) -> u64) -> Node {
    let mut entries: Vec<_> = table
        .into_iter()
        .map(|(key, value)| Entry {
            line: line_at(key.span().start),
            key: key.into_inner().into_owned(),
            value: from_toml(value, line_at),
        })
        .collect();
    entries.sort_by_key(|entry| entry.line);
    Node::Table(entries)
}

fn from_toml(value: toml::Spanned<DeValue<'_>>, line_at: &impl Fn(usize) -> u64) -> Located {
    let line = line_at(value.span().start);
    let node = match value.into_inner() {
        DeValue::String(text) => Node::Scalar(text.into_owned()),
        DeValue::Integer(number) => Node::Scalar(number.as_str().to_owned()),
        DeValue::Float(number) => Node::Scalar(number.as_str().to_owned()),
        DeValue::Boolean(value) => Node::Scalar(value.to_string()),
        DeValue::Datetime(datetime) => Node::Scalar(datetime.to_string()),
        DeValue::Array(items) => Node::List(items.into_iter().map(|item| from_toml(item, line_at)).collect()),
        DeValue::Table(table) => from_toml_table(table, line_at),
    };
    Located { line, node }
}

impl<'de> Deserialize<'de> for Located {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, referenced, .. } = Spanned::deserialize(deserializer)?;
        Ok(Self { line: referenced.line(), node: value })
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, a list or a table")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
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
