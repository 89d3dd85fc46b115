//! The metrics of connections that are closed on purpose.

use ilb_connections::{Ability, Refusal};
use ilb_controller::ClosingResult;
use ilb_reconciler::closing::ClosingState;

use super::{
    convert::{number, yes_or_no},
    metric::{Kind, Metric},
    scrape::Scrape,
    series::Value,
};
use crate::observe::insight::PoolClosings;

pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "ilb_closings",
        kind: Kind::Counter,
        unit: None,
        help: "Orders to close a live connection on purpose, by reason and result: closed, gone (it had ended), not-now (a \
               request or data was under way), refused, failed, not-tried (dropped after a failure) or dry-run (only shown)",
        labels: &["pool", "why", "result"],
        read: |s, series| {
            for (pool, closings) in pools(s) {
                for why in closings.reasons() {
                    for result in ClosingResult::NAMES {
                        let count = closings.results.get(&(why, result)).copied().unwrap_or(0);
                        series(&[pool, why.as_str(), result], Value::Number(number(count)));
                    }
                }
            }
        },
    },
    Metric {
        name: "ilb_closing_state",
        kind: Kind::Gauge,
        unit: None,
        help: "1 for the state of a pool whose connections may be closed, 0 for the others: idle, waiting, closing, or paused \
               because the closer failed or clients did not come back",
        labels: &["pool", "state"],
        read: |s, series| {
            for (pool, closings) in pools(s) {
                for state in ClosingState::NAMES {
                    series(&[pool, state], Value::Number(yes_or_no(closings.state.name() == state)));
                }
            }
        },
    },
    Metric {
        name: "ilb_closing_away",
        kind: Kind::Gauge,
        unit: None,
        help: "Connections that were closed on purpose and whose clients have not come back yet",
        labels: &["pool"],
        read: |s, series| {
            for (pool, closings) in pools(s) {
                series(&[pool], Value::Number(number(closings.facts.away)));
            }
        },
    },
    Metric {
        name: "ilb_closing_candidates",
        kind: Kind::Gauge,
        unit: None,
        help: "Connections in the last description of them, by whether the last data came from the backend: yes, no (a \
               request may be in progress) or unknown. They are described only while some may be closed soon",
        labels: &["pool", "answered"],
        read: |s, series| {
            for (pool, closings) in pools(s) {
                let facts = &closings.facts;
                for (answered, count) in [("yes", facts.answered), ("no", facts.asked), ("unknown", facts.unknown)] {
                    series(&[pool, answered], Value::Number(number(count)));
                }
            }
        },
    },
    Metric {
        name: "ilb_closing_halves",
        kind: Kind::Counter,
        unit: None,
        help: "Orders to end the connection of a client that ignored for 10 s that its backend's was closed on purpose, by \
               result: closed, gone (the client had ended it), not-now (the client has sent something), refused or failed; \
               absent without a closer",
        labels: &["result"],
        read: |s, series| {
            if s.facts.closer.ability.is_some() {
                for result in ClosingResult::NAMES.into_iter().take(5) {
                    let count = s.facts.closer.halves.get(result).copied().unwrap_or(0);
                    series(&[result], Value::Number(number(count)));
                }
            }
        },
    },
    Metric {
        name: "ilb_closer_up",
        kind: Kind::Gauge,
        unit: None,
        help: "1 while the closer can close connections, else 0; absent without a closer",
        labels: &[],
        read: |s, series| {
            if let Some(ability) = &s.facts.closer.ability {
                series(&[], Value::Number(yes_or_no(matches!(ability, Ability::Able(_)))));
            }
        },
    },
    Metric {
        name: "ilb_closer_refused",
        kind: Kind::Counter,
        unit: None,
        help: "Orders that the closer refused, by the reason of the refusal; absent without a closer",
        labels: &["why"],
        read: |s, series| {
            if s.facts.closer.ability.is_some() {
                for refusal in Refusal::ALL {
                    let count = s.facts.closer.refused.get(refusal.name()).copied().unwrap_or(0);
                    series(&[refusal.name()], Value::Number(number(count)));
                }
            }
        },
    },
];

/// Returns the pools whose connections may be closed.
fn pools<'a>(scrape: &'a Scrape<'_>) -> impl Iterator<Item = (&'a str, &'a PoolClosings)> {
    scrape.pools.iter().map(|pool| (pool.name, &pool.facts.closings)).filter(|(_, closings)| closings.is_on())
}
