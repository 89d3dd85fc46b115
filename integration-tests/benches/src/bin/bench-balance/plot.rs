//! The plot of the imbalance over time.

use std::fmt::Write as _;

use crate::{contender::Contender, measurements::Measurements};

/// Width of a panel in pixels.
const PANEL_WIDTH: f64 = 760.0;
/// Height of a panel in pixels.
const PANEL_HEIGHT: f64 = 200.0;
/// Space to the left of the panels, in pixels.
const LEFT_MARGIN: f64 = 50.0;
/// Space above each panel, in pixels.
const TOP_MARGIN: f64 = 40.0;
/// Highest imbalance in a panel; greater ones are cut off.
const MAX_IMBALANCE: f64 = 1.0;

/// Draws the imbalance over time: one panel per scenario, one line per contender.
pub(crate) fn svg(measurements: &Measurements) -> String {
    const PANELS: [&str; 4] = ["steady", "rolling-restart", "scale-out", "refusing"];
    let count = u32::try_from(PANELS.len()).unwrap_or(0);
    let (width, height) = (PANEL_WIDTH + LEFT_MARGIN + 20.0, f64::from(count) * (PANEL_HEIGHT + TOP_MARGIN) + 50.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (i, contender) in (0u8..).zip(Contender::USUAL) {
        let x = LEFT_MARGIN + f64::from(i) * 145.0;
        let _ = writeln!(svg, "<text x=\"{x}\" y=\"16\" fill=\"{}\">{}</text>", colour(contender), contender.name());
    }
    for (i, name) in (0u8..).zip(PANELS) {
        panel(&mut svg, f64::from(i) * (PANEL_HEIGHT + TOP_MARGIN) + 20.0 + TOP_MARGIN / 2.0, name, measurements);
    }
    svg + "</svg>\n"
}

fn panel(svg: &mut String, top: f64, name: &str, measurements: &Measurements) {
    let bottom = top + PANEL_HEIGHT;
    let end = Contender::USUAL
        .iter()
        .filter_map(|contender| measurements.get(name, *contender))
        .flat_map(|f| &f.series)
        .map(|(at, _)| *at)
        .fold(1.0, f64::max);
    let _ = writeln!(
        svg,
        "<text x=\"{LEFT_MARGIN}\" y=\"{}\">{name}: (max - mean) / mean over {end:.0} s</text>",
        top - 4.0
    );
    for part in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let y = bottom - part * PANEL_HEIGHT;
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT_MARGIN}\" x2=\"{}\" y1=\"{y}\" y2=\"{y}\" stroke=\"#ddd\"/><text x=\"8\" y=\"{}\">{:.0} %</text>",
            LEFT_MARGIN + PANEL_WIDTH,
            y + 4.0,
            part * MAX_IMBALANCE * 100.0
        );
    }
    for contender in Contender::USUAL.into_iter().rev() {
        let Some(measurement) = measurements.get(name, contender) else { continue };
        let point = |(at, value): &(f64, f64)| {
            format!(
                "{:.1},{:.1} ",
                LEFT_MARGIN + at / end * PANEL_WIDTH,
                bottom - value.min(MAX_IMBALANCE) / MAX_IMBALANCE * PANEL_HEIGHT
            )
        };
        let points: String = measurement.series.iter().map(point).collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.2\"/>",
            colour(contender)
        );
    }
}

fn colour(contender: Contender) -> &'static str {
    match contender {
        Contender::Ilb | Contender::IlbApart => "#0072b2",
        Contender::TraefikRoundRobin => "#d55e00",
        Contender::HaproxyLeastconn | Contender::HaproxyOne => "#009e73",
        Contender::HaproxyRoundRobin => "#e69f00",
        Contender::NginxLeastconn => "#cc79a7",
    }
}
