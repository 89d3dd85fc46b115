//! The metrics of the log of connections.

use super::{
    convert::number,
    metric::{Kind, Metric},
    series::Value,
};

pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "ilb_connection_log_lines",
        kind: Kind::Counter,
        unit: None,
        help: "Connections that were logged when they ended; absent unless `connectionLog.enabled`",
        labels: &[],
        read: |s, series| {
            if let Some(counts) = &s.facts.connection_log {
                series(&[], Value::Number(number(counts.lines())));
            }
        },
    },
    Metric {
        name: "ilb_connection_log_left_out",
        kind: Kind::Counter,
        unit: None,
        help: "Connections that ended and were not logged, by the reason: rate (more than `connectionLog.maxRate` ended) or \
               unknown (the proxy had reset them a moment after they were opened, and not even their backend is known); \
               absent unless `connectionLog.enabled`",
        labels: &["reason"],
        read: |s, series| {
            if let Some(counts) = &s.facts.connection_log {
                series(&["rate"], Value::Number(number(counts.left_out())));
                series(&["unknown"], Value::Number(number(counts.unknown())));
            }
        },
    },
    Metric {
        name: "ilb_connection_log_overruns",
        kind: Kind::Counter,
        unit: None,
        help: "Times at which the kernel had more closed connections to announce than could be received, so that an unknown \
               number of them is not logged; absent unless `connectionLog.enabled`",
        labels: &[],
        read: |s, series| {
            if let Some(counts) = &s.facts.connection_log {
                series(&[], Value::Number(number(counts.overruns())));
            }
        },
    },
];
