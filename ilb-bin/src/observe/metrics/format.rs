//! The text formats of the metrics, and the choice between them by what a client accepts.

/// Text format of the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// The classic format of Prometheus, version 0.0.4, which every collector understands.
    Text,
    /// `OpenMetrics` 1.0.0.
    OpenMetrics,
}

/// A media range of an `Accept` header.
struct MediaRange<'a> {
    media_type: &'a str,
    version: Option<&'a str>,
    quality: f32,
}

impl Format {
    /// Returns the media type.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// Chooses the format by the values of the `Accept` headers of a request.
    ///
    /// It is chosen as the client libraries of Prometheus do: `OpenMetrics` only for a client that names it, in a version
    /// that is served, and does not prefer plain text; the classic format for all others, also for `*/*`, for none, and for
    /// types that are not served.
    pub(crate) fn accepted<'a>(accept: impl Iterator<Item = &'a str>) -> Self {
        let (mut text, mut open_metrics) = (0.0_f32, 0.0_f32);
        for range in accept.flat_map(|value| value.split(',')).map(MediaRange::new) {
            let quality = match (range.media_type.to_ascii_lowercase().as_str(), range.version) {
                ("application/openmetrics-text", None | Some("1.0.0")) => &mut open_metrics,
                ("text/plain" | "text/*", _) => &mut text,
                _ => continue,
            };
            *quality = quality.max(range.quality);
        }
        if open_metrics > 0.0 && open_metrics >= text { Self::OpenMetrics } else { Self::Text }
    }
}

impl<'a> MediaRange<'a> {
    fn new(text: &'a str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let mut range = Self { media_type: parts.next().unwrap_or_default(), version: None, quality: 1.0 };
        for (name, value) in parts.filter_map(|parameter| parameter.split_once('=')) {
            let (name, value) = (name.trim(), value.trim().trim_matches('"'));
            if name.eq_ignore_ascii_case("version") {
                range.version = Some(value);
            } else if name.eq_ignore_ascii_case("q") {
                range.quality = value.parse().ok().filter(|quality| (0.0..=1.0).contains(quality)).unwrap_or(0.0);
            }
        }
        range
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const PROMETHEUS_3: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
        application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
        text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
    const PROMETHEUS_2: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8,\
        application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    const OLD_PROMETHEUS: &str = "application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

    #[rstest]
    #[case::prometheus_3(PROMETHEUS_3, Format::OpenMetrics)]
    #[case::prometheus_2(PROMETHEUS_2, Format::OpenMetrics)]
    #[case::a_draft_only(OLD_PROMETHEUS, Format::Text)]
    #[case::named("application/openmetrics-text", Format::OpenMetrics)]
    #[case::in_capitals("Application/OpenMetrics-Text; Version=\"1.0.0\"; Q=0.1", Format::OpenMetrics)]
    #[case::excluded("application/openmetrics-text;q=0, text/plain;q=0.1", Format::Text)]
    #[case::less_than_text("application/openmetrics-text;q=0.5, text/plain;q=0.6", Format::Text)]
    #[case::as_much_as_text("text/plain, application/openmetrics-text", Format::OpenMetrics)]
    #[case::less_than_anything("application/openmetrics-text;q=0.5, */*", Format::OpenMetrics)]
    #[case::text("text/plain", Format::Text)]
    #[case::text_with_version("text/plain;version=0.0.4", Format::Text)]
    #[case::any_text("text/*", Format::Text)]
    #[case::anything("*/*", Format::Text)]
    #[case::browser("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Format::Text)]
    #[case::protobuf_or_anything(
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily, */*;q=0.1",
        Format::Text
    )]
    #[case::not_served("application/json", Format::Text)]
    #[case::another_version("application/openmetrics-text;version=2.0.0", Format::Text)]
    #[case::no_quality("application/openmetrics-text;q=much", Format::Text)]
    #[case::empty("", Format::Text)]
    fn the_format_is_what_the_client_accepts(#[case] accept: &str, #[case] format: Format) {
        assert_eq!(Format::accepted([accept].into_iter()), format);
    }

    #[test]
    fn headers_add_up() {
        let accept = ["text/plain;q=0.5", "application/openmetrics-text"];
        assert_eq!(Format::accepted(accept.into_iter()), Format::OpenMetrics);
        assert_eq!(Format::accepted([].into_iter()), Format::Text);
    }
}
