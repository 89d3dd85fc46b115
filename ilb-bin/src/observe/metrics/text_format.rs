//! The classic text format of Prometheus, version 0.0.4, made from that of `OpenMetrics`.

use std::fmt::Write as _;

/// Converts metrics from the format of `OpenMetrics` 1.0.0.
///
/// The series are the same in both. Here a family of counters or of infos has the name of its series, infos are gauges,
/// and there are no units and no mark at the end.
pub(super) fn from_open_metrics(text: &str) -> String {
    let (mut converted, mut help) = (String::with_capacity(text.len()), None);
    for line in text.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("HELP"), Some(_), text) => help = text,
            (Some("#"), Some("TYPE"), Some(family), Some(kind)) => {
                let (suffix, kind) = match kind {
                    "counter" => ("_total", kind),
                    "info" => ("_info", "gauge"),
                    "unknown" => ("", "untyped"),
                    _ => ("", kind),
                };
                if let Some(help) = help.take() {
                    // Quotes are only escaped in the format of OpenMetrics.
                    let _ = writeln!(converted, "# HELP {family}{suffix} {}", help.replace("\\\"", "\""));
                }
                let _ = writeln!(converted, "# TYPE {family}{suffix} {kind}");
            }
            (Some("#"), ..) => {}
            _ => {
                converted.push_str(line);
                converted.push('\n');
            }
        }
    }
    converted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_have_the_names_and_types_of_the_classic_format() {
        let open_metrics = "\
# HELP a_seconds With a \\\"quote\\\".
# TYPE a_seconds counter
# UNIT a_seconds seconds
a_seconds_total{pool=\"#\"} 1.5
# HELP b About b.
# TYPE b info
b_info{version=\"1\"} 1
# HELP c_seconds About c.
# TYPE c_seconds histogram
c_seconds_sum 0.5
c_seconds_count 1
c_seconds_bucket{le=\"+Inf\"} 1
# TYPE d gauge
d 1
# EOF
";
        let text = "\
# HELP a_seconds_total With a \"quote\".
# TYPE a_seconds_total counter
a_seconds_total{pool=\"#\"} 1.5
# HELP b_info About b.
# TYPE b_info gauge
b_info{version=\"1\"} 1
# HELP c_seconds About c.
# TYPE c_seconds histogram
c_seconds_sum 0.5
c_seconds_count 1
c_seconds_bucket{le=\"+Inf\"} 1
# TYPE d gauge
d 1
";
        assert_eq!(from_open_metrics(open_metrics), text);
    }
}
