//! The values of an example of the chart, as the settings of an ilb that runs without a cluster.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use ilb_testbed::in_checkout;
use serde_json::{Value, json};

/// The pools of an example in `chart/examples`.
#[derive(Clone, Debug)]
pub(crate) struct Example {
    /// Name of the file.
    pub(crate) file: &'static str,
    pools: Vec<Value>,
}

/// Keys of a pool that only the chart knows.
const OF_THE_CHART: [&str; 6] = ["port", "servicePort", "portName", "nodePort", "hostPort", "appProtocol"];

/// Values below `closing` that are other ones here than in the examples, because an event takes seconds here and not hours: the
/// place, and the value.
pub(crate) const SHORTENED: [(&str, &str); 9] = [
    ("/closing/settle", "1s"),
    ("/closing/maxPerHour", "10000%"),
    ("/closing/drain/after", "0s"),
    ("/closing/drain/within", "5s"),
    ("/closing/drain/quiet", "200ms"),
    ("/closing/rebalance/rate", "100%"),
    ("/closing/rebalance/maxRate", "20"),
    ("/closing/rebalance/minAge", "0s"),
    ("/closing/rebalance/least", "2"),
];

impl Example {
    /// Reads an example of the chart of this checkout.
    pub(crate) fn read(file: &'static str) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(in_checkout("chart/examples").join(file))
            .with_context(|| format!("there is no example {file}"))?;
        Self::parse(file, &text)
    }

    fn parse(file: &'static str, text: &str) -> anyhow::Result<Self> {
        let values: Value = serde_saphyr::from_str(text).with_context(|| format!("{file} is no YAML"))?;
        let pools = values["pools"].as_array().with_context(|| format!("{file} has no pools"))?.clone();
        ensure!(pools.iter().all(|pool| pool["name"].is_string()), "{file} has a pool without a name");
        Ok(Self { file, pools })
    }

    /// Returns the name and the port of each entry point.
    pub(crate) fn entry_points(&self) -> Vec<(String, u16)> {
        self.pools.iter().map(|pool| (name(pool), port(&pool["port"]))).collect()
    }

    /// Returns the port of the backends of a pool.
    pub(crate) fn backend_port(&self, pool: &str) -> anyhow::Result<u16> {
        Ok(port(&self.pool(pool)?["backendPort"]))
    }

    /// Returns the labels that a pod needs to be a backend of a pool.
    pub(crate) fn labels(&self, pool: &str) -> anyhow::Result<BTreeMap<String, String>> {
        let selector = self.pool(pool)?["selector"].as_str().with_context(|| format!("{pool} has no selector"))?;
        let label = |term: &str| {
            let (key, value) = term.split_once('=').with_context(|| format!("{term} is no label with its value"))?;
            Ok((key.to_owned(), value.to_owned()))
        };
        selector.split(',').map(label).collect()
    }

    /// Returns the settings of ilb, with or without the rules by which connections are closed.
    pub(crate) fn settings(&self, namespace: &str, closing: bool) -> Value {
        let pools = self.pools.iter().map(|pool| {
            let mut pool = pool.clone();
            let entry_point = name(&pool);
            let Some(keys) = pool.as_object_mut() else { return pool };
            keys.retain(|key, _| !OF_THE_CHART.contains(&key.as_str()));
            keys.insert("namespaces".to_owned(), json!([namespace]));
            keys.insert("entryPoint".to_owned(), json!(entry_point));
            if closing {
                shorten(&mut pool);
            } else if let Some(keys) = pool.as_object_mut() {
                keys.remove("closing");
            }
            pool
        });
        json!({"pools": pools.collect::<Vec<_>>()})
    }

    fn pool(&self, name: &str) -> anyhow::Result<&Value> {
        let pool = self.pools.iter().find(|pool| pool["name"] == name);
        pool.with_context(|| format!("{} has no pool {name}", self.file))
    }
}

/// Replaces the [values that are other ones here](SHORTENED) of the rules that a pool has.
fn shorten(pool: &mut Value) {
    let Some(rules) = pool.get_mut("closing").and_then(Value::as_object_mut) else { return };
    rules.remove("dryRun");
    for (place, value) in SHORTENED {
        let keys: Vec<_> = place.split('/').skip(2).collect();
        let value = value.parse::<u32>().map_or_else(|_| json!(value), |number| json!(number));
        match keys.as_slice() {
            [key] => drop(rules.insert((*key).to_owned(), value)),
            [rule, key] => {
                if let Some(rule) = rules.get_mut(*rule).and_then(Value::as_object_mut) {
                    rule.insert((*key).to_owned(), value);
                }
            }
            _ => {}
        }
    }
}

fn name(pool: &Value) -> String {
    pool["name"].as_str().unwrap_or_default().to_owned()
}

fn port(value: &Value) -> u16 {
    value.as_u64().and_then(|port| port.try_into().ok()).unwrap_or(3333)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
pools:
  - name: broker
    namespaces: [iot]
    selector: app=broker,tier=edge
    backendPort: 1883
    port: 8883
    slowStart: 30s
    closing:
      onSelectorLeft: close
      drain: {enabled: true, after: 1m}
      dryRun: true
";

    #[test]
    fn what_only_the_chart_knows_is_left_out_and_times_of_rules_are_shortened() {
        let example = Example::parse("broker.yaml", TEXT).unwrap();
        assert_eq!(example.entry_points(), [("broker".to_owned(), 8883)]);
        assert_eq!(example.backend_port("broker").unwrap(), 1883);
        assert_eq!(example.labels("broker").unwrap()["tier"], "edge");
        let expected = json!({"pools": [{
            "name": "broker",
            "namespaces": ["here"],
            "selector": "app=broker,tier=edge",
            "backendPort": 1883,
            "slowStart": "30s",
            "entryPoint": "broker",
            "closing": {
                "onSelectorLeft": "close",
                "settle": "1s",
                "maxPerHour": "10000%",
                "drain": {"enabled": true, "after": "0s", "within": "5s", "quiet": "200ms"},
            },
        }]});
        assert_eq!(example.settings("here", true), expected);
        assert_eq!(example.settings("here", false)["pools"][0]["closing"], Value::Null);
    }

    #[test]
    fn an_example_without_pools_is_refused_by_name() {
        let error = Example::parse("ha.yaml", "replicaCount: 3").unwrap_err().to_string();
        assert_eq!(error, "ha.yaml has no pools");
    }
}
