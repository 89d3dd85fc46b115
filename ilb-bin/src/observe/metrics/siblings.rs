//! The metrics of the exchange with the siblings.

use ilb_reconciler::siblings::Ignored;
use ilb_siblings::Problem;

use super::{
    convert::{number, size},
    metric::{Kind, Metric},
    series::Value,
};

pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "ilb_siblings",
        kind: Kind::Gauge,
        unit: None,
        help: "Other replicas before the same backends, by whether they answer: heard or lost (for 5 s); absent if this \
               replica balances by itself",
        labels: &["state"],
        read: |s, series| {
            let siblings = &s.facts.siblings;
            if siblings.is_on {
                let heard = siblings.heard();
                for (state, count) in [("heard", heard), ("lost", siblings.siblings.len() - heard)] {
                    series(&[state], Value::Number(size(count)));
                }
            }
        },
    },
    Metric {
        name: "ilb_sibling_reports",
        kind: Kind::Counter,
        unit: None,
        help: "Answers of siblings that had counted again; absent if this replica balances by itself",
        labels: &[],
        read: |s, series| {
            if s.facts.siblings.is_on {
                series(&[], Value::Number(number(s.facts.siblings.reports)));
            }
        },
    },
    Metric {
        name: "ilb_sibling_failures",
        kind: Kind::Counter,
        unit: None,
        help: "Questions to siblings that failed: unreachable, slow (no answer within 1 s, or 2.5 s if it may wait for the \
               next sample), status (of an older version: 404), too_long, version (of the exchange) or unintelligible; absent \
               if this replica balances by itself",
        labels: &["kind"],
        read: |s, series| {
            if s.facts.siblings.is_on {
                for kind in Problem::KINDS {
                    let count = s.facts.siblings.failures.get(kind).copied().unwrap_or(0);
                    series(&[kind], Value::Number(number(count)));
                }
            }
        },
    },
    Metric {
        name: "ilb_sibling_reports_ignored",
        kind: Kind::Counter,
        unit: None,
        help: "Reports of siblings on one pool that were ignored, by the reason, such as old (counts of more than 5 s ago) or \
               too_many_siblings; absent if this replica balances by itself",
        labels: &["reason"],
        read: |s, series| {
            if s.facts.siblings.is_on {
                for reason in Ignored::NAMES {
                    let count = s.facts.siblings.ignored.get(reason).copied().unwrap_or(0);
                    series(&[reason], Value::Number(number(count)));
                }
            }
        },
    },
    Metric {
        name: "ilb_pool_share_ratio",
        kind: Kind::Gauge,
        unit: Some("ratio"),
        help: "Part of all new connections that this replica gets, 1 if no sibling is heard; absent if the pool takes no part \
               in the exchange",
        labels: &["pool"],
        read: |s, series| s.pools(series, |pool| pool.sharing.as_ref().map(|sharing| sharing.sharing.share)),
    },
    Metric {
        name: "ilb_pool_siblings",
        kind: Kind::Gauge,
        unit: None,
        help: "Siblings whose counts are used in a pool; absent if the pool takes no part in the exchange",
        labels: &["pool"],
        read: |s, series| {
            s.pools(series, |pool| {
                let siblings = &pool.sharing.as_ref()?.sharing.siblings;
                Some(size(siblings.iter().filter(|sibling| sibling.share.is_some()).count()))
            });
        },
    },
];
