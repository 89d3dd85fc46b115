//! The metrics of each backend. Their series end with the backend.

use super::{
    convert::number,
    metric::{Kind, Metric},
    series::Value,
};
use crate::observe::insight::BackendStatus;

const LABELS: &[&str] = &["pool", "backend"];

pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "ilb_backend",
        kind: Kind::Info,
        unit: None,
        help: "Pod behind the backend, with its namespace, node and zone, each empty where it is not known; as many series as \
               backends, at most 2000 for each pool",
        labels: &["pool", "backend", "backend_pod", "backend_namespace", "backend_node", "zone"],
        read: |s, series| {
            for pool in &s.pools {
                for (address, backend) in &pool.backends {
                    let BackendStatus { pod, namespace, node, zone, .. } = backend;
                    let [pod, namespace, node, zone] =
                        [pod, namespace, node, zone].map(|name| name.as_deref().unwrap_or_default());
                    series(&[pool.name, address, pod, namespace, node, zone], Value::Info);
                }
            }
        },
    },
    Metric {
        name: "ilb_backend_state_seconds",
        kind: Kind::Gauge,
        unit: Some("seconds"),
        help: "Time for which the backend has been in its state, as far as this ilb has seen it",
        labels: LABELS,
        read: |s, series| s.backends(series, |backend| backend.state_seconds),
    },
    Metric {
        name: "ilb_backend_connections",
        kind: Kind::Gauge,
        unit: None,
        help: "Open connections by state: established, half-closed but still in use, or opening",
        labels: &["pool", "backend", "state"],
        read: |s, series| {
            for pool in &s.pools {
                for (address, backend) in &pool.backends {
                    let states = [
                        ("established", backend.established),
                        ("half-closed", backend.half_closed),
                        ("opening", backend.opening),
                    ];
                    for (state, count) in states {
                        if let Some(count) = count {
                            series(&[pool.name, address, state], Value::Number(count.into()));
                        }
                    }
                }
            }
        },
    },
    Metric {
        name: "ilb_backend_connections_of_all_replicas",
        kind: Kind::Gauge,
        unit: None,
        help: "Open connections through this replica and its siblings that are heard; absent if none is heard",
        labels: LABELS,
        read: |s, series| s.backends(series, |backend| backend.total.map(number)),
    },
    Metric {
        name: "ilb_backend_connections_opened",
        kind: Kind::Counter,
        unit: None,
        help: "Connections opened since the start; where the kernel announces nothing, one that is open for less than a \
               sampling interval may be missed",
        labels: LABELS,
        read: |s, series| s.backends(series, |backend| backend.opened.map(number)),
    },
    Metric {
        name: "ilb_backend_connections_closed",
        kind: Kind::Counter,
        unit: None,
        help: "Connections closed since the start; where the kernel announces nothing, one that is open for less than a \
               sampling interval may be missed",
        labels: LABELS,
        read: |s, series| s.backends(series, |backend| backend.closed.map(number)),
    },
    Metric {
        name: "ilb_backend_connections_closed_by_backend",
        kind: Kind::Counter,
        unit: None,
        help: "Connections that the backend closed or reset before its client did, since the start, without those that were \
               closed on purpose",
        labels: LABELS,
        read: |s, series| s.backends(series, |backend| backend.closed_by_backend.map(number)),
    },
    Metric {
        name: "ilb_backend_connections_unanswered",
        kind: Kind::Counter,
        unit: None,
        help: "Connections that the backend refused or never answered, since the start",
        labels: LABELS,
        read: |s, series| s.backends(series, |backend| backend.unanswered.map(number)),
    },
    Metric {
        name: "ilb_backend_bytes",
        kind: Kind::Counter,
        unit: Some("bytes"),
        help: "Bytes of data moved in both directions since the start, as far as the kernel has reported them",
        labels: LABELS,
        read: |s, series| s.backends(series, |backend| backend.bytes.map(number)),
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
        help: "Retransmitted segments of the connections that are open now",
        labels: LABELS,
        read: |s, series| s.backends(series, |backend| backend.retransmits.map(number)),
    },
    Metric {
        name: "ilb_backend_weight",
        kind: Kind::Gauge,
        unit: None,
        help: "Active weight, over all shares: 0 for a backend that gets no new connections",
        labels: LABELS,
        read: |s, series| {
            s.backends(series, |backend| Some(number(backend.weights.iter().copied().map(u64::from).sum())));
        },
    },
    Metric {
        name: "ilb_backend_head_start",
        kind: Kind::Gauge,
        unit: None,
        help: "New connections that the active plan still gives the backend before the fullest one gets its next",
        labels: LABELS,
        read: |s, series| s.backends(series, |backend| backend.head_start.map(number)),
    },
    Metric {
        name: "ilb_backend_capacity",
        kind: Kind::Gauge,
        unit: None,
        help: "Shares of the connections relative to the other backends",
        labels: LABELS,
        read: |s, series| s.backends(series, |backend| Some(backend.capacity.into())),
    },
];
