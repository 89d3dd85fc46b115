//! Leaves out of objects what may be a secret.

use serde_json::Value;

use crate::settings::{is_variable, masked};

/// Text in the place of what is left out.
const LEFT_OUT: &str = "(left out)";

/// Annotation with a copy of the whole object.
const COPY: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Removes from an object, and all that is in it, what may be a secret: the values of variables that are not settings of
/// ilb, and the users and passwords in URLs. Removes copies of the object, too.
pub(super) fn redact(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("managedFields");
            fields.remove(COPY);
            if let Some(Value::Array(variables)) = fields.get_mut("env") {
                variables.iter_mut().for_each(redact_variable);
            }
            fields.values_mut().for_each(redact);
        }
        Value::Array(items) => items.iter_mut().for_each(redact),
        Value::String(text) if text.contains("://") => {
            *text = text.split_inclusive('\n').map(masked).collect();
        }
        _ => {}
    }
}

fn redact_variable(variable: &mut Value) {
    let is_setting = variable.get("name").and_then(Value::as_str).is_some_and(is_variable);
    if let (false, Some(value)) = (is_setting, variable.get_mut("value")) {
        *value = LEFT_OUT.into();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_may_be_a_secret_is_left_out_and_the_rest_stays() {
        let mut pod = json!({
            "metadata": {"name": "lb", "managedFields": [{}], "annotations": {COPY: "{\"value\": \"hidden\"}", "a": "b"}},
            "spec": {"containers": [{
                "args": ["--log.level=INFO"],
                "env": [
                    {"name": "ILB_SELECTOR", "value": "app=a"},
                    {"name": "TRAEFIK_API_URL", "value": "http://me:hidden@traefik:8080"},
                    {"name": "TOKEN", "value": "hidden"},
                    {"name": "P", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                ],
            }]},
            "data": {"ilb.yaml": "a: http://me:hidden@traefik\nb: me@example.org\n"},
        });
        redact(&mut pod);
        let expected = json!({
            "metadata": {"name": "lb", "annotations": {"a": "b"}},
            "spec": {"containers": [{
                "args": ["--log.level=INFO"],
                "env": [
                    {"name": "ILB_SELECTOR", "value": "app=a"},
                    {"name": "TRAEFIK_API_URL", "value": "http://***@traefik:8080"},
                    {"name": "TOKEN", "value": LEFT_OUT},
                    {"name": "P", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                ],
            }]},
            "data": {"ilb.yaml": "a: http://***@traefik\nb: me@example.org\n"},
        });
        assert_eq!(pod, expected);
    }
}
