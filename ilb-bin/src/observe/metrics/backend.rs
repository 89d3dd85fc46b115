use super::{Kind, Metric, Value, number};

const LABELS: &[&str] = &["pool", "backend"];

/// What concerns one backend. Its series end with it.
pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "ilb_backend_connections",
        kind: Kind::Gauge,
        unit: None,
        help: "Live connections by state: established, or opening",
        labels: &["pool", "backend", "state"],
        read: |s, series| {
            for pool in &s.pools {
                for (address, backend) in &pool.backends {
                    for (state, count) in [("established", backend.established), ("opening", backend.opening)] {
                        if let Some(count) = count {
                            series(&[pool.name, address, state], Value::Number(count.into()));
                        }
                    }
                }
            }
        },
    },
    Metric {
        name: "ilb_backend_connections_born",
        kind: Kind::Counter,
        unit: None,
        help: "Connections that came, as far as a count saw them",
        labels: LABELS,
        read: |s, series| s.backends(series, |backend| backend.born.map(number)),
    },
    Metric {
        name: "ilb_backend_connections_gone",
        kind: Kind::Counter,
        unit: None,
        help: "Connections that ended, as far as a count saw them",
        labels: LABELS,
        read: |s, series| s.backends(series, |backend| backend.gone.map(number)),
    },
    Metric {
        name: "ilb_backend_rtt_seconds",
        kind: Kind::Gauge,
        unit: Some("seconds"),
        help: "Mean of the smoothed round-trip times of the established connections; absent without any",
        labels: LABELS,
        read: |s, series| s.backends(series, |backend| backend.rtt_seconds),
    },
    Metric {
        name: "ilb_backend_retransmits",
        kind: Kind::Gauge,
        unit: None,
        help: "Segments that were sent again, over the connections that live now",
        labels: LABELS,
        read: |s, series| s.backends(series, |backend| backend.retransmits.map(number)),
    },
    Metric {
        name: "ilb_backend_weight",
        kind: Kind::Gauge,
        unit: None,
        help: "Weight in force, over all shares: 0 for a backend that gets no new connections",
        labels: LABELS,
        read: |s, series| {
            s.backends(series, |backend| Some(number(backend.weights.iter().copied().map(u64::from).sum())));
        },
    },
    Metric {
        name: "ilb_backend_head_start",
        kind: Kind::Gauge,
        unit: None,
        help: "New connections that the plan in force still gives it before the fullest backend gets one",
        labels: LABELS,
        read: |s, series| s.backends(series, |backend| backend.head_start.map(number)),
    },
    Metric {
        name: "ilb_backend_capacity",
        kind: Kind::Gauge,
        unit: None,
        help: "Shares of the connections that it takes relative to the others",
        labels: LABELS,
        read: |s, series| s.backends(series, |backend| Some(backend.capacity.into())),
    },
];
