//! What the fuzz target of the settings calls.

use std::path::PathBuf;

use super::{Inputs, KEYS, Settings};

/// Takes `data` as a file of each format, as `NAME=VALUE` lines of variables, and as the value of every variable and flag.
pub fn settings(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for name in ["ilb.yaml", "ilb.toml"] {
        load(&Inputs { file: Some(PathBuf::from(name)), ..Inputs::default() }, &text);
    }
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let variables = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    load(&Inputs { variables, ..Inputs::default() }, "");
    for index in [0, 1] {
        let names = KEYS.iter().filter_map(|key| key.variables.get(index));
        let variables = names.map(|name| ((*name).to_owned(), text.clone().into_owned())).collect();
        load(&Inputs { variables, ..Inputs::default() }, "");
    }
    let flags = KEYS.iter().map(|key| (key.flag(), text.clone().into_owned())).collect();
    load(&Inputs { flags, ..Inputs::default() }, "");
}

/// Panics if a text is refused without a reason.
fn load(inputs: &Inputs, text: &str) {
    match Settings::from_text(inputs, Ok(text.to_owned())) {
        Ok(settings) => assert!(!settings.pools.is_empty() && !settings.table().is_empty()),
        Err(problems) => assert!(problems.iter().all(|problem| !problem.is_empty()) && problems.iter().count() > 0),
    }
}
