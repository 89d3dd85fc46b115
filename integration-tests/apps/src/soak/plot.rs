//! The plot of a soak.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{flat::QUANTITIES, sample::Sample};

/// Width of a panel in pixels.
const WIDTH: f64 = 760.0;
/// Height of a panel in pixels.
const HEIGHT: f64 = 120.0;
/// Space to the left of the panels, in pixels.
const LEFT: f64 = 60.0;
/// Space above each panel, in pixels.
const ABOVE: f64 = 34.0;
/// Colours of the applications, which also people tell apart who see few colours.
const COLOURS: [&str; 8] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999"];

/// Draws each quantity over time, with a line for each application.
pub(crate) fn svg(samples: &BTreeMap<String, Vec<Sample>>) -> String {
    let height = (0..QUANTITIES.len()).fold(40.0, |height, _| height + HEIGHT + ABOVE);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        LEFT + WIDTH + 20.0
    );
    let mut x = LEFT;
    for (name, colour) in samples.keys().zip(COLOURS.iter().cycle()) {
        let _ = writeln!(svg, "<text x=\"{x}\" y=\"16\" fill=\"{colour}\">{name}</text>");
        x += 95.0;
    }
    let end = samples.values().flatten().map(|sample| sample.at).fold(1.0, f64::max);
    let mut top = 20.0 + ABOVE;
    for quantity in &QUANTITIES {
        let most = samples.values().flatten().map(quantity.of).fold(0.001, f64::max);
        let bottom = top + HEIGHT;
        let _ = writeln!(svg, "<text x=\"{LEFT}\" y=\"{}\">{} over {end:.0} s</text>", top - 6.0, quantity.name);
        for (part, y) in [(0.0, bottom), (0.5, bottom - HEIGHT / 2.0), (1.0, top)] {
            let _ = writeln!(
                svg,
                "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{y}\" y2=\"{y}\" stroke=\"#ddd\"/><text x=\"6\" y=\"{}\">{}</text>",
                LEFT + WIDTH,
                y + 4.0,
                label(part * most)
            );
        }
        for (of_one, colour) in samples.values().zip(COLOURS.iter().cycle()) {
            let point = |sample: &Sample| {
                format!("{:.1},{:.1} ", LEFT + sample.at / end * WIDTH, bottom - (quantity.of)(sample) / most * HEIGHT)
            };
            let points: String = of_one.iter().map(point).collect();
            let _ = writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.2\"/>",
                points.trim_end()
            );
        }
        top += HEIGHT + ABOVE;
    }
    svg + "</svg>\n"
}

/// Formats a value of an axis.
fn label(value: f64) -> String {
    if value < 10.0 { format!("{value:.2}") } else { format!("{value:.0}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soak::flat::tests::soak;

    #[test]
    fn every_quantity_has_a_panel_with_a_line_for_every_application() {
        let mut samples = soak(1.0);
        samples.insert("redis".to_owned(), samples["mqtt"].clone());
        let svg = svg(&samples);
        assert_eq!(svg.matches("<polyline").count(), 2 * QUANTITIES.len());
        for quantity in &QUANTITIES {
            assert!(svg.contains(quantity.name), "{}", quantity.name);
        }
        // The highest value touches the upper edge of its panel, and the last one the right edge.
        assert!(svg.contains(&format!("{:.1},", LEFT + WIDTH)), "{svg}");
    }
}
