use std::fmt::Write as _;

use crate::{figures::Figures, system::Kind};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 200.0;
const LEFT: f64 = 50.0;
const TOP: f64 = 40.0;
/// Above this everything is bad.
const HIGHEST: f64 = 1.0;

/// Imbalance over time, one panel per scenario, one line per system.
pub(crate) fn svg(figures: &Figures) -> String {
    const PANELS: [&str; 4] = ["steady", "rolling-restart", "scale-out", "refusing"];
    let count = u32::try_from(PANELS.len()).unwrap_or(0);
    let (width, height) = (WIDTH + LEFT + 20.0, f64::from(count) * (HEIGHT + TOP) + 50.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (i, kind) in (0u8..).zip(Kind::ALL) {
        let x = LEFT + f64::from(i) * 145.0;
        let _ = writeln!(svg, "<text x=\"{x}\" y=\"16\" fill=\"{}\">{}</text>", colour(kind), kind.name());
    }
    for (i, name) in (0u8..).zip(PANELS) {
        panel(&mut svg, f64::from(i) * (HEIGHT + TOP) + 20.0 + TOP / 2.0, name, figures);
    }
    svg + "</svg>\n"
}

fn panel(svg: &mut String, top: f64, name: &str, figures: &Figures) {
    let bottom = top + HEIGHT;
    let end = Kind::ALL
        .iter()
        .filter_map(|kind| figures.get(name, *kind))
        .flat_map(|f| &f.series)
        .map(|(at, _)| *at)
        .fold(1.0, f64::max);
    let _ = writeln!(svg, "<text x=\"{LEFT}\" y=\"{}\">{name}: (max - mean) / mean over {end:.0} s</text>", top - 4.0);
    for part in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let y = bottom - part * HEIGHT;
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{y}\" y2=\"{y}\" stroke=\"#ddd\"/><text x=\"8\" y=\"{}\">{:.0} %</text>",
            LEFT + WIDTH,
            y + 4.0,
            part * HIGHEST * 100.0
        );
    }
    for kind in Kind::ALL.into_iter().rev() {
        let Some(figure) = figures.get(name, kind) else { continue };
        let point = |(at, value): &(f64, f64)| {
            format!("{:.1},{:.1} ", LEFT + at / end * WIDTH, bottom - value.min(HIGHEST) / HIGHEST * HEIGHT)
        };
        let points: String = figure.series.iter().map(point).collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.2\"/>",
            colour(kind)
        );
    }
}

fn colour(kind: Kind) -> &'static str {
    match kind {
        Kind::Ilb => "#0072b2",
        Kind::TraefikRoundRobin => "#d55e00",
        Kind::HaproxyLeastconn => "#009e73",
        Kind::HaproxyRoundRobin => "#e69f00",
        Kind::NginxLeastconn => "#cc79a7",
    }
}
