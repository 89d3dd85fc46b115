//! Comparison of a configuration with Traefik's echo of it.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};

use serde_json::{Value, value::RawValue};

use super::borrowed_text::BorrowedText;
use crate::Error;

/// Maximum number of keys of one item that are returned.
const MAX_KEYS_PER_ITEM: usize = 5;

/// A key of a configuration, with the keys that lead to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key(Vec<String>);

impl Key {
    /// Returns the kind and the name of the item that the key belongs to, such as `services` and `a`; `None` if it is
    /// above all items.
    pub(super) fn item(&self) -> Option<(&str, &str)> {
        match self.0.as_slice() {
            [protocol, kind, name, ..] if protocol == "tcp" => Some((kind, name)),
            _ => None,
        }
    }
}

/// Writes `tcp.services.a.loadBalancer`.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

/// Returns the keys of `sent` that are missing from Traefik's `echo`, or have another value there.
///
/// A configuration that is written the way Traefik writes it comes back byte by byte, so texts are compared first. Only
/// where they differ are they parsed, one level at a time.
pub(super) fn dropped(sent: &[u8], echo: &[u8]) -> Result<Vec<Key>, Error> {
    if came_back(sent, echo) {
        return Ok(Vec::new());
    }
    let parse = |bytes| {
        serde_json::from_slice::<&RawValue>(bytes).map_err(|e| Error::unintelligible("PUT /api/providers/rest", e))
    };
    let mut keys = Vec::new();
    compare(parse(sent)?.get(), Some(parse(echo)?.get()), &mut Vec::new(), &mut keys);
    Ok(keys)
}

/// Returns whether `echo` contains all of `sent` byte by byte. Traefik may put an empty `http` before it, an empty `udp`
/// before `tls`, and anything after it.
fn came_back(sent: &[u8], echo: &[u8]) -> bool {
    let Some(fields) = sent.strip_prefix(b"{").and_then(|fields| fields.strip_suffix(b"}")) else { return false };
    let rest = echo.strip_prefix(b"{\"http\":{},").or_else(|| echo.strip_prefix(b"{"));
    // The quotation marks of a key are not escaped, so this is no part of a text.
    let in_two = || {
        let (before, tls) = fields.split_at(memchr::memmem::rfind(fields, b",\"tls\":{")?);
        rest?.strip_prefix(before)?.strip_prefix(b",\"udp\":{}")?.strip_prefix(tls)
    };
    let after = rest.and_then(|rest| rest.strip_prefix(fields)).or_else(in_two);
    after.is_some_and(|after| after.starts_with(b"}") || after.starts_with(b","))
}

type Object<'a> = BTreeMap<BorrowedText<'a>, &'a RawValue>;

/// Adds to `keys` each key of `sent` that `echo` lacks or changes, up to a few of each item. `path` leads to `sent`.
///
/// Traefik leaves out values that are empty, false or zero; all others have to be there. Additions do not matter.
fn compare(sent: &str, echo: Option<&str>, path: &mut Vec<String>, keys: &mut Vec<Key>) {
    let of_this_item = keys.iter().rev().take_while(|key| key.0.starts_with(item_of(path)));
    if echo == Some(sent) || of_this_item.count() >= MAX_KEYS_PER_ITEM {
        return;
    }
    let echo = echo.unwrap_or("null");
    if let (Ok(sent), Ok(echo)) = (serde_json::from_str::<Object<'_>>(sent), serde_json::from_str::<Object<'_>>(echo)) {
        for (name, value) in sent {
            path.push(name.to_string());
            compare(value.get(), echo.get(name.as_str()).map(|value| value.get()), path, keys);
            path.pop();
        }
        return;
    }
    if let (Ok(sent), Ok(echo)) = (items(sent), items(echo))
        && sent.len() == echo.len()
    {
        for (index, (value, echo)) in sent.iter().zip(echo).enumerate() {
            let length = path.last().map_or(0, String::len);
            if let Some(last) = path.last_mut() {
                let _ = write!(last, "[{index}]");
            }
            compare(value.get(), Some(echo.get()), path, keys);
            if let Some(last) = path.last_mut() {
                last.truncate(length);
            }
        }
        return;
    }
    // Both are valid JSON: they were parsed as parts of a whole.
    let (sent, echo) = (value(sent), value(echo));
    if sent != echo && !(echo.is_null() && is_empty_value(&sent)) {
        keys.push(Key(path.clone()));
    }
}

/// Returns the part of a path that leads to an item: protocol, kind and name.
fn item_of(path: &[String]) -> &[String] {
    &path[..path.len().min(3)]
}

fn items(text: &str) -> serde_json::Result<Vec<&RawValue>> {
    serde_json::from_str(text)
}

fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

fn is_empty_value(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_u64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_empty_value),
        Value::Bool(true) => false,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::the_same_bytes(r#"{"a":1}"#, "{\"a\":1}\n", &[])]
    #[case::followed_by_more(r#"{"a":1}"#, r#"{"a":1,"udp":{}}"#, &[])]
    #[case::between_others(r#"{"a":1}"#, r#"{"http":{},"a":1,"udp":{}}"#, &[])]
    #[case::between_parts(r#"{"a":1,"tls":{"b":2}}"#, r#"{"http":{},"a":1,"udp":{},"tls":{"b":2}}"#, &[])]
    #[case::changed_after_an_empty_one(r#"{"a":1,"tls":{"b":2}}"#, r#"{"a":1,"udp":{},"tls":{"b":3}}"#, &["tls.b"])]
    #[case::changed_before_an_empty_one(r#"{"a":1,"tls":{"b":2}}"#, r#"{"a":2,"udp":{},"tls":{"b":2}}"#, &["a"])]
    #[case::a_longer_number(r#"{"a":1}"#, r#"{"a":12}"#, &["a"])]
    #[case::another_order(r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#, &[])]
    #[case::nothing_left_out(r#"{"a":{},"b":[],"c":false,"d":0,"e":"","f":{"g":{}}}"#, "{}", &[])]
    #[case::something_added(r#"{"a":{"b":1}}"#, r#"{"a":{"b":1,"c":2},"http":{}}"#, &[])]
    #[case::dropped(r#"{"a":{"b":{"c":true},"d":1}}"#, r#"{"a":{"b":{},"d":1}}"#, &["a.b.c"])]
    #[case::changed(r#"{"a":[{"b":"1s"}]}"#, r#"{"a":[{"b":"2s"}]}"#, &["a[0].b"])]
    #[case::shortened(r#"{"a":[1,2]}"#, r#"{"a":[1]}"#, &["a"])]
    #[case::emptied(r#"{"a":{"b":{"version":2}}}"#, "{}", &["a"])]
    fn a_key_that_did_not_come_back_is_named(#[case] sent: &str, #[case] echo: &str, #[case] keys: &[&str]) {
        assert_eq!(texts(&dropped(sent.as_bytes(), echo.as_bytes()).unwrap()), keys);
    }

    #[rstest]
    #[case::the_same(r#"{"tcp":{"a":1},"tls":{}}"#)]
    #[case::with_an_empty_http(r#"{"http":{},"tcp":{"a":1},"tls":{}}"#)]
    #[case::with_an_empty_udp(r#"{"tcp":{"a":1},"udp":{},"tls":{}}"#)]
    #[case::with_both(r#"{"http":{},"tcp":{"a":1},"udp":{},"tls":{}}"#)]
    fn what_traefik_adds_does_not_lead_to_parsing(#[case] echo: &str) {
        assert!(came_back(br#"{"tcp":{"a":1},"tls":{}}"#, format!("{echo}\n").as_bytes()));
    }

    #[test]
    fn an_echo_that_is_no_json_is_an_error() {
        assert_eq!(dropped(b"{}", b"<html>").unwrap_err().kind(), "unintelligible");
    }

    #[test]
    fn a_value_is_never_named() {
        let keys = dropped(br#"{"keyFile":"secret"}"#, br#"{"keyFile":"other"}"#).unwrap();
        assert_eq!(texts(&keys), ["keyFile"]);
    }

    #[test]
    fn each_item_has_its_own_keys_and_only_a_few_of_them() {
        let many = (0..20).map(|i| format!(r#""k{i}":1"#)).collect::<Vec<_>>().join(",");
        let sent = format!(r#"{{"tcp":{{"services":{{"a":{{{many}}},"b.1":{{"x":1}}}}}},"tls":{{"y":1}}}}"#);
        let keys = dropped(sent.as_bytes(), b"{}").unwrap();
        assert_eq!(texts(&keys), ["tcp", "tls"]);
        let echo = br#"{"tcp":{"services":{"a":{},"b.1":{}}},"tls":{}}"#;
        let keys = dropped(sent.as_bytes(), echo).unwrap();
        let items: Vec<_> = keys.iter().map(Key::item).collect();
        let (a, b) = (Some(("services", "a")), Some(("services", "b.1")));
        assert_eq!(items, [a, a, a, a, a, b, None]);
    }

    fn texts(keys: &[Key]) -> Vec<String> {
        keys.iter().map(Key::to_string).collect()
    }
}
