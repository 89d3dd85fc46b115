use serde_json::Value;

use crate::Error;

/// How many keys an error names.
const NAMED: usize = 5;

/// The keys of `sent` that Traefik did not take over as they were, by its own `echo`.
///
/// What is written the way Traefik writes it comes back byte by byte, apart from the end of the line; only where it does
/// not, the two are parsed.
pub(super) fn dropped(sent: &[u8], echo: &[u8]) -> Result<Vec<String>, Error> {
    if sent == echo.trim_ascii_end() {
        return Ok(Vec::new());
    }
    let parse = |bytes| serde_json::from_slice::<Value>(bytes);
    let what = "PUT /api/providers/rest";
    let echo = parse(echo).map_err(|e| Error::Unintelligible { what, problem: e.to_string() })?;
    // The own bytes can always be parsed.
    let sent = parse(sent).map_err(|e| Error::Unintelligible { what, problem: e.to_string() })?;
    let mut keys = Vec::new();
    compare(&sent, Some(&echo), "", &mut keys);
    keys.truncate(NAMED);
    Ok(keys)
}

/// Traefik leaves out what is empty, false or zero; everything else has to be there. What it adds does not matter.
fn compare(sent: &Value, echo: Option<&Value>, key: &str, keys: &mut Vec<String>) {
    if keys.len() > NAMED {
        return;
    }
    match (sent, echo) {
        _ if echo == Some(sent) => {}
        (Value::Object(sent), Some(Value::Object(echo))) => {
            for (name, value) in sent {
                let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                compare(value, echo.get(name), &key, keys);
            }
        }
        (Value::Array(sent), Some(Value::Array(echo))) if sent.len() == echo.len() => {
            for (index, (value, echo)) in sent.iter().zip(echo).enumerate() {
                compare(value, Some(echo), &format!("{key}[{index}]"), keys);
            }
        }
        (_, None | Some(Value::Null)) if is_nothing(sent) => {}
        _ => keys.push(key.to_owned()),
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_u64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_nothing),
        Value::Bool(true) => false,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::the_same_bytes(r#"{"a":1}"#, "{\"a\":1}\n", &[])]
    #[case::another_order(r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#, &[])]
    #[case::nothing_left_out(r#"{"a":{},"b":[],"c":false,"d":0,"e":"","f":{"g":{}}}"#, "{}", &[])]
    #[case::something_added(r#"{"a":{"b":1}}"#, r#"{"a":{"b":1,"c":2},"http":{}}"#, &[])]
    #[case::dropped(r#"{"a":{"b":{"c":true},"d":1}}"#, r#"{"a":{"b":{},"d":1}}"#, &["a.b.c"])]
    #[case::changed(r#"{"a":[{"b":"1s"}]}"#, r#"{"a":[{"b":"2s"}]}"#, &["a[0].b"])]
    #[case::shortened(r#"{"a":[1,2]}"#, r#"{"a":[1]}"#, &["a"])]
    #[case::emptied(r#"{"a":{"b":{"version":2}}}"#, "{}", &["a"])]
    fn a_key_that_did_not_come_back_is_named(#[case] sent: &str, #[case] echo: &str, #[case] keys: &[&str]) {
        assert_eq!(dropped(sent.as_bytes(), echo.as_bytes()).unwrap(), keys);
    }

    #[test]
    fn an_echo_that_is_no_json_is_an_error() {
        assert_eq!(dropped(b"{}", b"<html>").unwrap_err().kind(), "unintelligible");
    }

    #[test]
    fn a_value_is_never_named() {
        let keys = dropped(br#"{"keyFile":"secret"}"#, br#"{"keyFile":"other"}"#).unwrap();
        assert_eq!(keys, ["keyFile"]);
    }
}
