use super::{Kind, Metric, Value, number, yes_or_no};
use crate::observe::insight::Reload;

/// What concerns the file of settings.
pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "ilb_config_reloads",
        kind: Kind::Counter,
        unit: None,
        help: "Changes of the file of settings since the start, by whether they were applied or refused",
        labels: &["result"],
        read: |s, series| {
            for result in Reload::ALL {
                let count = s.facts.reloads.counts.get(&result).copied().unwrap_or_default();
                series(&[result.as_str()], Value::Number(number(count)));
            }
        },
    },
    Metric {
        name: "ilb_config_last_reload_successful",
        kind: Kind::Gauge,
        unit: None,
        help: "1 unless the file of settings is refused as it is now, in which case those before stay in force",
        labels: &[],
        read: |s, series| {
            series(&[], Value::Number(yes_or_no(s.facts.reloads.last != Some(Reload::Refused))));
        },
    },
];
