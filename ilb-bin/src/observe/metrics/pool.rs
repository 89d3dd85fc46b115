//! The metrics of each pool.

use super::{
    convert::{number, size, yes_or_no},
    metric::{Kind, Metric},
    scrape::MAX_BACKENDS_WITH_SERIES,
    series::Value,
};
use crate::observe::insight::{BackendState, ZoneFacts};

pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "ilb_pool_in_force",
        kind: Kind::Gauge,
        unit: None,
        help: "1 while the pool is verified in the Traefik process that runs now, else 0",
        labels: &["pool"],
        read: |s, series| {
            let is_proved = s.facts.traefik.not_proved(s.now).is_none();
            s.pools(series, |pool| Some(yes_or_no(is_proved && pool.in_force.is_some())));
        },
    },
    Metric {
        name: "ilb_pool",
        kind: Kind::Info,
        unit: None,
        help: "Entry point of the pool and source of its backends: pods by a selector, a Service or a file; namespaces are \
               separated by commas and empty for all; one series for each pool",
        labels: &["pool", "entry_point", "method", "source", "what", "namespaces", "port"],
        read: |s, series| {
            for pool in &s.pools {
                let Some(source) = pool.facts.source() else { continue };
                let (namespaces, port) = (source.namespaces.join(","), source.port.unwrap_or_default());
                let (entry_point, method) = (pool.facts.entry_point.as_str(), pool.facts.method.as_str());
                let labels = [pool.name, entry_point, method, source.kind.as_str(), &source.what, &namespaces, &port];
                series(&labels, Value::Info);
            }
        },
    },
    Metric {
        name: "ilb_pool_complaints",
        kind: Kind::Gauge,
        unit: None,
        help: "Objects of the pool's source with a mistake, such as pods that are refused; the log and the status say which",
        labels: &["pool"],
        read: |s, series| s.pools(series, |pool| Some(size(pool.complaints(0).count))),
    },
    Metric {
        name: "ilb_pool_degraded",
        kind: Kind::Gauge,
        unit: None,
        help: "1 for each reason for which clients of the pool may be hurt; absent without a reason",
        labels: &["pool", "reason"],
        read: |s, series| {
            let is_proved = s.facts.traefik.not_proved(s.now).is_none();
            for pool in &s.pools {
                for reason in pool.facts.degraded(is_proved) {
                    series(&[pool.name, reason.kind], Value::Number(1.0));
                }
            }
        },
    },
    Metric {
        name: "ilb_pool_backends",
        kind: Kind::Gauge,
        unit: None,
        help: "Backends by state; one that is ready for discovery and does not answer counts only as suspect, and one whose \
               connections end early only as failing",
        labels: &["pool", "state"],
        read: |s, series| {
            for pool in &s.pools {
                for state in BackendState::ALL {
                    series(&[pool.name, &state.to_string()], Value::Number(size(pool.count.get(state))));
                }
            }
        },
    },
    Metric {
        name: "ilb_pool_backends_without_series",
        kind: Kind::Gauge,
        unit: None,
        help: "Backends beyond the first 2000 of the pool, which have no series of their own",
        labels: &["pool"],
        read: |s, series| {
            s.pools(series, |pool| {
                let backends = pool.backends.as_ref().map_or(0, |backends| backends.len());
                Some(size(backends.saturating_sub(MAX_BACKENDS_WITH_SERIES)))
            });
        },
    },
    Metric {
        name: "ilb_pool_imbalance_ratio",
        kind: Kind::Gauge,
        unit: Some("ratio"),
        help: "Excess of the fullest backend that takes connections over the mean, relative to the mean, per share of \
               capacity; with siblings, of the connections of all replicas that are heard; absent where nothing can be compared",
        labels: &["pool"],
        read: |s, series| s.pools(series, |pool| pool.imbalance().map(|imbalance| imbalance.ratio)),
    },
    Metric {
        name: "ilb_pool_max_connections",
        kind: Kind::Gauge,
        unit: None,
        help: "Maximum number of connections of all backends that take connections, through all replicas together; absent \
               without a limit",
        labels: &["pool"],
        read: |s, series| s.pools(series, |pool| Some(number(pool.limit.state?.max_connections))),
    },
    Metric {
        name: "ilb_pool_full",
        kind: Kind::Gauge,
        unit: None,
        help: "1 while all backends have as many connections as they may have, as far as this replica knows, else 0; absent \
               without a limit",
        labels: &["pool"],
        read: |s, series| s.pools(series, |pool| Some(yes_or_no(pool.limit.state?.is_full))),
    },
    Metric {
        name: "ilb_pool_filled",
        kind: Kind::Counter,
        unit: None,
        help: "Times that a pool has become full; absent without a limit",
        labels: &["pool"],
        read: |s, series| {
            s.pools(series, |pool| pool.limit.state.map(|_| number(pool.limit.times_full)));
        },
    },
    Metric {
        name: "ilb_pool_full_seconds",
        kind: Kind::Counter,
        unit: Some("seconds"),
        help: "Time for which the pool has been full, in which Traefik closes new connections at once unless they are spread; \
               how many those were, neither Traefik nor the kernel counts; absent without a limit",
        labels: &["pool"],
        read: |s, series| {
            s.pools(series, |pool| pool.limit.state.map(|_| pool.limit.time_full.as_secs_f64()));
        },
    },
    Metric {
        name: "ilb_pool_zone_connections",
        kind: Kind::Gauge,
        unit: None,
        help: "Connections of this replica to backends of its own zone, of other zones, and of unknown ones; absent unless the \
               pool prefers its own zone",
        labels: &["pool", "zone"],
        read: |s, series| {
            for pool in &s.pools {
                for (zone, counts) in pool.facts.zones.iter().flat_map(ZoneFacts::by_zone) {
                    series(&[pool.name, zone], Value::Number(number(counts.connections)));
                }
            }
        },
    },
    Metric {
        name: "ilb_pool_zone_opened",
        kind: Kind::Counter,
        unit: None,
        help: "Connections that have opened to backends of the own zone, of other zones, and of unknown ones; absent unless the \
               pool prefers its own zone",
        labels: &["pool", "zone"],
        read: |s, series| {
            for pool in &s.pools {
                for (zone, counts) in pool.facts.zones.iter().flat_map(ZoneFacts::by_zone) {
                    series(&[pool.name, zone], Value::Number(number(counts.opened)));
                }
            }
        },
    },
    Metric {
        name: "ilb_pool_change_to_in_force_seconds",
        kind: Kind::Histogram,
        unit: Some("seconds"),
        help: "Time from a change of the ready backends, as discovery saw it, to its verification in Traefik",
        labels: &["pool"],
        read: |s, series| {
            for pool in &s.pools {
                series(&[pool.name], Value::Histogram(&pool.facts.propagation));
            }
        },
    },
    Metric {
        name: "ilb_pool_counting",
        kind: Kind::Gauge,
        unit: None,
        help: "1 while the connections of the pool are counted, 0 if that is impossible or not configured",
        labels: &["pool"],
        read: |s, series| s.pools(series, |pool| Some(yes_or_no(pool.load.latest.is_some()))),
    },
    Metric {
        name: "ilb_pool_counting_by",
        kind: Kind::Gauge,
        unit: None,
        help: "1 for the way in which the connections of the pool are counted: netlink announcements, or, at a higher cost, \
               netlink or /proc/net/tcp; absent while they are not counted",
        labels: &["pool", "method"],
        read: |s, series| {
            for pool in &s.pools {
                if let Some(by) = pool.facts.load.latest.as_ref().and_then(|latest| latest.by) {
                    series(&[pool.name, by], Value::Number(1.0));
                }
            }
        },
    },
    Metric {
        name: "ilb_pool_samples",
        kind: Kind::Counter,
        unit: None,
        help: "Attempts to count the connections, by result",
        labels: &["pool", "result"],
        read: |s, series| {
            for pool in &s.pools {
                series(&[pool.name, "counted"], Value::Number(number(pool.facts.load.samples)));
                series(&[pool.name, "failed"], Value::Number(number(pool.facts.load.failures)));
            }
        },
    },
    Metric {
        name: "ilb_pool_samples_cpu_seconds",
        kind: Kind::Counter,
        unit: Some("seconds"),
        help: "Processor time spent counting connections",
        labels: &["pool"],
        read: |s, series| s.pools(series, |pool| Some(pool.load.cpu_time.as_secs_f64())),
    },
    Metric {
        name: "ilb_pool_probes",
        kind: Kind::Counter,
        unit: None,
        help: "Probes that have ended, by result: answered, closed at once, unanswered, or not made for want of local \
               ports, files or memory",
        labels: &["pool", "result"],
        read: |s, series| {
            for pool in &s.pools {
                let probes = &pool.facts.load.probes;
                let results = [
                    ("answered", probes.answered),
                    ("closed", probes.closed),
                    ("unanswered", probes.unanswered),
                    ("not made", probes.not_made),
                ];
                for (result, count) in results {
                    series(&[pool.name, result], Value::Number(number(count)));
                }
            }
        },
    },
    Metric {
        name: "ilb_discovery_staleness_seconds",
        kind: Kind::Gauge,
        unit: Some("seconds"),
        help: "Time for which the backends have been out of date: 0 while they are up to date",
        labels: &["pool"],
        read: |s, series| s.pools(series, |pool| Some(pool.staleness(s.now).as_secs_f64())),
    },
    Metric {
        name: "ilb_discovery_contact_age_seconds",
        kind: Kind::Gauge,
        unit: Some("seconds"),
        help: "Time since the last contact with the API server; absent before the first",
        labels: &["pool"],
        read: |s, series| s.pools(series, |pool| pool.since_contact().map(|age| age.as_secs_f64())),
    },
    Metric {
        name: "ilb_discovery_errors",
        kind: Kind::Counter,
        unit: None,
        help: "Errors that kept the backends from being up to date, by kind",
        labels: &["pool", "kind"],
        read: |s, series| {
            for pool in &s.pools {
                for (kind, count) in &pool.facts.errors {
                    series(&[pool.name, kind], Value::Number(number(*count)));
                }
            }
        },
    },
    Metric {
        name: "ilb_discovery_relists",
        kind: Kind::Counter,
        unit: None,
        help: "Complete lists after the first, each because a watch could not be resumed; absent for a pool without a watch",
        labels: &["pool"],
        read: |s, series| s.pools(series, |pool| pool.relists().map(number)),
    },
    Metric {
        name: "ilb_discovery_sets",
        kind: Kind::Counter,
        unit: None,
        help: "Complete sets of backends that discovery has published",
        labels: &["pool"],
        read: |s, series| s.pools(series, |pool| Some(number(pool.sets))),
    },
];
