//! The metrics of the settings file.

use super::{
    convert::{number, yes_or_no},
    metric::{Kind, Metric},
    series::Value,
};
use crate::observe::insight::Reload;

pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "ilb_config_reloads",
        kind: Kind::Counter,
        unit: None,
        help: "Changes of the settings file since the start, by result",
        labels: &["result"],
        read: |s, series| {
            for result in Reload::ALL {
                let count = s.facts.reloads.counts.get(&result).copied().unwrap_or_default();
                series(&[&result.to_string()], Value::Number(number(count)));
            }
        },
    },
    Metric {
        name: "ilb_config_last_reload_successful",
        kind: Kind::Gauge,
        unit: None,
        help: "0 while the settings file is refused and the previous settings stay in effect, else 1",
        labels: &[],
        read: |s, series| {
            series(&[], Value::Number(yes_or_no(s.facts.reloads.last != Some(Reload::Refused))));
        },
    },
];
