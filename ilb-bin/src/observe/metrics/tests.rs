//! The text of the metrics, their conventions and their document.

use std::collections::{BTreeMap, BTreeSet};

use ilb_discovery::State;
use ilb_reconciler::Method;

use super::{catalog::all, *};
use crate::observe::insight::tests::{Reporter, push, round_robin, sample, set};
use crate::process::logging::DroppedLines;

/// Returns the metrics of a pool with backends in these states, after a push.
fn text(states: &[State]) -> String {
    let insight = Insight::new();
    let pool = Reporter::add(&insight, "default", "tcp", Method::RoundRobin);
    let before = set(&[State::Ready; 3]);
    pool.discovered(&before);
    pool.sampled(&sample(&[5, 6, 7]));
    push(&pool, &round_robin(&before), &before, "one");
    pool.discovered(&set(states));
    Metrics::new(insight, DroppedLines::default()).text(Format::OpenMetrics).unwrap()
}

#[tokio::test]
async fn a_removed_backend_has_no_series() {
    let text = text(&[State::Ready, State::Draining]);
    assert!(text.contains(r#"ilb_backend_connections{pool="default",backend="10.0.0.2:5432",state="established"} 6"#));
    assert!(text.contains(r#"ilb_pool_backends{pool="default",state="draining"} 1"#), "{text}");
    assert!(text.contains(r#"ilb_pool_counting_by{pool="default",method="netlink announcements"} 1"#), "{text}");
    assert!(!text.contains("10.0.0.3"), "{text}");
}

#[tokio::test]
async fn each_family_is_as_it_is_declared() {
    let text = text(&[State::Ready]);
    let types: BTreeMap<_, _> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    let declared: BTreeMap<_, _> = all().map(|metric| (metric.name, metric.kind.name())).collect();
    assert_eq!(types, declared);
    assert!(text.ends_with("# EOF\n"));
    let units: BTreeMap<_, _> = text.lines().filter_map(|line| line.strip_prefix("# UNIT ")?.split_once(' ')).collect();
    assert_eq!(units, all().filter_map(|metric| Some((metric.name, metric.unit?))).collect());
}

#[tokio::test]
async fn no_series_is_written_twice_or_with_an_empty_set_of_labels() {
    let text = text(&[State::Ready, State::Ready]);
    let series: Vec<_> =
        text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' ')).collect();
    let different: BTreeSet<_> = series.iter().map(|(name, _)| name).collect();
    assert_eq!(series.len(), different.len());
    assert!(!text.contains("{}") && !text.contains(",}"), "{text}");
}

/// Checks the rules of promtool and our own.
#[test]
fn names_follow_the_conventions_of_prometheus() {
    let mut seen = BTreeSet::new();
    for metric in all() {
        let name = metric.name;
        assert!(seen.insert(name), "{name} is defined twice");
        assert!(name.starts_with("ilb_") || name.starts_with("process_"), "{name} has neither prefix");
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name} has other characters");
        for suffix in ["_total", "_count", "_sum", "_bucket", "_info"] {
            assert!(!name.ends_with(suffix), "{name}: the format adds {suffix}");
        }
        for word in
            ["milliseconds", "millis", "_ms", "minutes", "kilobytes", "percent", "counter", "gauge", "histogram"]
        {
            assert!(!name.contains(word), "{name}: {word} is no base unit, or a type");
        }
        match metric.unit {
            Some(unit) => {
                assert!(["seconds", "bytes", "ratio"].contains(&unit), "{name}: {unit} is no base unit");
                assert!(name.ends_with(unit), "{name} does not end with its unit {unit}");
            }
            None => assert!(!["seconds", "bytes", "ratio"].iter().any(|u| name.ends_with(u)), "{name} has a unit"),
        }
        assert!(metric.help.len() > 10 && !metric.help.ends_with('.'), "{name}: {:?}", metric.help);
        assert!(metric.help.starts_with(|c: char| c.is_uppercase() || c.is_ascii_digit()), "{name}: {:?}", metric.help);
        for label in metric.labels {
            // There is an instance per Traefik of the fleet at the moment. Names of pods, nodes and zones are those of the
            // backends at the moment, of which a pool has at most 2000 with series.
            let of_backends = ["backend_pod", "backend_namespace", "backend_node", "zone"];
            let of_settings = ["entry_point", "source", "what", "namespaces", "port"];
            let of_this_process = ["ilb_pod", "ilb_namespace", "ilb_node", "release", "level"];
            let known = [
                "pool", "backend", "instance", "state", "method", "reason", "result", "kind", "during", "version",
                "arch", "why", "answered",
            ];
            let known = [&known[..], &of_backends, &of_settings, &of_this_process].concat();
            assert!(known.contains(label), "{name}: the values of {label} are not known to be bounded");
        }
    }
}

#[test]
fn the_document_is_that_of_the_code() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
    let document = documentation::document();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &document).unwrap();
    }
    let published = std::fs::read_to_string(path).unwrap_or_default();
    assert!(published == document, "docs/metrics.md is stale: UPDATE_DOCS=1 cargo test -p ilb-bin metrics");
}

#[test]
fn the_queries_of_the_document_ask_for_metrics_and_labels_that_exist() {
    let names: BTreeSet<_> = all().map(super::metric::Metric::full_name).collect();
    let labels: BTreeSet<_> = all().flat_map(|metric| metric.labels).copied().collect();
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    for (answer, query) in documentation::QUERIES {
        let words: Vec<_> = query.split(|c| !is_word(c)).collect();
        let asked = words.iter().filter(|word| word.starts_with("ilb_"));
        let is_known = |word: &&&str| names.contains(**word) || names.contains(word.trim_end_matches("_bucket"));
        assert!(asked.clone().count() > 0 && asked.clone().all(|word| is_known(&word)), "{answer}: {query}");
        for list in query.split("by (").skip(1).filter_map(|rest| rest.split(')').next()) {
            for label in list.split(", ") {
                assert!(labels.contains(label) || ["namespace", "pod", "le"].contains(&label), "{answer}: {label}");
            }
        }
    }
}
