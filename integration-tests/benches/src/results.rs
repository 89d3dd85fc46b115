//! Files with the results of benches.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use ilb_testbed::in_checkout;
use serde::Serialize;
use serde_json::Value;

/// Writes `results` as JSON to `target/bench/NAME.json` (in `CARGO_TARGET_DIR`, where that is set). Returns the path.
pub fn write(name: &str, results: &impl Serialize) -> anyhow::Result<PathBuf> {
    let path = path(name)?;
    let write = || {
        fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        fs::write(&path, serde_json::to_string_pretty(results)? + "\n")
    };
    write().with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// Returns the path of the results with this name.
pub fn path(name: &str) -> anyhow::Result<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    Ok(in_checkout(".").canonicalize()?.join(target).join("bench").join(name).with_extension("json"))
}

/// Returns `new` with what only `old` has: objects are merged down to `depth` levels, and what is deeper is taken whole.
pub fn merged(old: Value, new: Value, depth: usize) -> Value {
    match (old, new) {
        (Value::Object(mut all), Value::Object(new)) if depth > 0 => {
            for (key, value) in new {
                let old = all.remove(&key).unwrap_or_default();
                all.insert(key, merged(old, value, depth - 1));
            }
            Value::Object(all)
        }
        (_, new) => new,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn results_of_a_part_replace_those_of_that_part_only() {
        let old = json!({"scenarios": {"steady": {"ilb": {"mean": 1, "old": 1}, "nginx": {"mean": 2}}, "full": {"ilb": {"mean": 3}}}});
        let new = json!({"scenarios": {"steady": {"ilb": {"mean": 4}}}});
        let expected =
            json!({"scenarios": {"steady": {"ilb": {"mean": 4}, "nginx": {"mean": 2}}, "full": {"ilb": {"mean": 3}}}});
        assert_eq!(merged(old, new, 3), expected);
    }

    #[test]
    fn results_are_written_where_there_were_none() {
        assert_eq!(merged(Value::Null, json!({"scenarios": {}}), 3), json!({"scenarios": {}}));
    }
}
