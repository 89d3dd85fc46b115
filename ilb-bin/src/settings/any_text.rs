//! Any text is accepted or refused, wherever it is given, and never ends the process.

use std::path::PathBuf;

use proptest::{collection::vec, prelude::*, sample::select};

use super::{Inputs, KEYS, Settings};

/// Parts of values and files, and what is near to them.
const PARTS: &[&str] = &[
    "1",
    "0",
    "-",
    "+",
    ".",
    "s",
    "ms",
    "\u{b5}s",
    "h",
    "1m",
    "-30s",
    "e9",
    "inf",
    "NaN",
    "99999999999999999999",
    "a",
    "app",
    "=",
    "!",
    ",",
    " in ",
    " notin ",
    "(",
    ")",
    "::1",
    "10.0.0.0",
    "/8",
    "/129",
    ":",
    "65536",
    "http://",
    "https://",
    "tcp://",
    "localhost",
    "@",
    "?",
    "%",
    "[",
    "]",
    "{",
    "}",
    "\n",
    "\r\n",
    "\t",
    " ",
    "- ",
    "pools",
    "selector",
    "namespaces",
    "[[pools]]\n",
    "updateInterval",
    ": ",
    "\"",
    "'",
    "#",
    "|",
    ">",
    "&x ",
    "*x",
    "<<",
    "!!str ",
    "---\n",
    "...\n",
    "~",
    "\\",
    "\u{0}",
    "\u{feff}",
    "\u{e9}",
    "\u{1f980}",
];

fn texts() -> impl Strategy<Value = String> {
    let of_parts = vec(select(PARTS), 0..12).prop_map(|parts| parts.concat());
    prop_oneof![4 => of_parts, 1 => any::<String>()]
}

fn inputs_with_file(name: &str) -> Inputs {
    Inputs { file: Some(PathBuf::from(name)), ..Inputs::default() }
}

proptest! {
    #[test]
    fn any_value_of_any_variable_is_accepted_or_refused(values in vec(texts(), KEYS.len())) {
        for variable in [0, 1] {
            let named = KEYS.iter().zip(&values).filter_map(|(key, value)| Some((key.variables.get(variable)?, value)));
            let variables = named.map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
            let _ = Settings::from_text(&Inputs { variables, ..Inputs::default() }, Ok(String::new()));
        }
    }

    #[test]
    fn any_variable_is_accepted_or_refused(variables in vec(("(ILB_)?(BACKEND|SERVICE|PORT|_){0,4}|.{0,9}", texts()), 0..4)) {
        let _ = Settings::from_text(&Inputs { variables, ..Inputs::default() }, Ok(String::new()));
    }

    #[test]
    fn any_value_of_any_flag_is_accepted_or_refused(values in vec(texts(), KEYS.len()), terminal in any::<bool>()) {
        let flags = KEYS.iter().zip(values).map(|(key, value)| (key.flag(), value)).collect();
        let _ = Settings::from_text(&Inputs { flags, terminal, ..Inputs::default() }, Ok(String::new()));
    }

    #[test]
    fn any_value_of_any_key_of_a_file_is_accepted_or_refused(values in vec(texts(), KEYS.len())) {
        let mut json = serde_json::json!({"pools": [{}]});
        for (key, value) in KEYS.iter().zip(values) {
            let pointer = format!("/{}", key.path.replace("[]", "/0").replace('.', "/"));
            set(&mut json, &pointer, value.into());
        }
        let _ = Settings::from_text(&inputs_with_file("ilb.json"), Ok(json.to_string()));
    }

    #[test]
    fn any_file_is_accepted_or_refused(text in texts()) {
        for name in ["ilb.yaml", "ilb.json", "ilb.toml", "ilb"] {
            let _ = Settings::from_text(&inputs_with_file(name), Ok(text.clone()));
        }
    }
}

/// Sets the value at `pointer`, and the objects that lead to it.
fn set(json: &mut serde_json::Value, pointer: &str, value: serde_json::Value) {
    let place = pointer.trim_start_matches('/').split('/').fold(json, |parent, name| match name.parse::<usize>() {
        Ok(index) => &mut parent[index],
        Err(_) => &mut parent[name],
    });
    *place = value;
}

/// A parser that calls itself for each level would use up the stack.
#[test]
fn deep_nesting_is_refused() {
    for (name, text) in [
        ("ilb.yaml", "[".repeat(200_000)),
        ("ilb.yaml", "- ".repeat(200_000)),
        ("ilb.json", "{\"a\":".repeat(100_000)),
        ("ilb.toml", format!("a = {}", "[".repeat(200_000))),
        ("ilb.toml", format!("{}a = 1", "a.".repeat(100_000))),
    ] {
        assert!(Settings::from_text(&inputs_with_file(name), Ok(text)).is_err());
    }
}

/// Few bytes of YAML can stand for many.
#[test]
fn aliases_of_aliases_are_refused() {
    let lines = (1..30).map(|n| format!("a{n}: &a{n} [*a{0}, *a{0}, *a{0}, *a{0}]\n", n - 1));
    let text = format!("a0: &a0 [x, x]\n{}", lines.collect::<String>());
    assert!(Settings::from_text(&inputs_with_file("ilb.yaml"), Ok(text)).is_err());
}
