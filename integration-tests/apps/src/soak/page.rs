//! The page of a soak.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use super::{
    flat::{QUANTITIES, trend},
    sample::Sample,
};

/// Formats the page, beside which the plot is.
pub(crate) fn page(samples: &BTreeMap<String, Vec<Sample>>, duration: Duration, verdict: &str) -> String {
    let mut page = format!(
        "# Soak\n\n`make soak` puts all applications of [applications.md](../applications.md) on one machine at once, each with an API\n\
         server, a Traefik, an ilb and a closer of its own, and scales them out and in and restarts their servers over and over,\n\
         with the rules for closing of their examples: here for {} minutes. This page is written by it.\n\n\
         **At its end: {verdict}**\n\n![Memory, files, goroutines, pushes and imbalance over time](soak.svg)\n\n\
         What clients have seen:\n\n\
         | application | events | confirmed | failed | closed by ilb | lost |\n|---|---:|---:|---:|---:|---:|\n",
        duration.as_secs() / 60
    );
    for (name, samples) in samples {
        let sum = |of: fn(&Sample) -> usize| samples.iter().map(of).sum::<usize>();
        let _ = writeln!(
            page,
            "| {name} | {} | {} | {} | {} | {} |",
            samples.len(),
            sum(|sample| sample.confirmed),
            sum(|sample| sample.failed),
            sum(|sample| sample.closed),
            sum(|sample| sample.lost)
        );
    }
    page += "\nMedians in the first and in the last third of the events:\n\n| application |";
    for quantity in &QUANTITIES {
        let _ = write!(page, " {} |", quantity.name);
    }
    page += "\n|---|";
    page += &"---:|".repeat(QUANTITIES.len());
    page.push('\n');
    for (name, samples) in samples {
        let _ = write!(page, "| {name} |");
        for quantity in &QUANTITIES {
            let (first, last) = trend(samples, quantity.of);
            let _ = write!(page, " {first:.2} → {last:.2} |");
        }
        page.push('\n');
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soak::flat::tests::soak;

    #[test]
    fn the_page_has_sums_and_trends() {
        let page = page(&soak(4.0), Duration::from_secs(1800), "everything is flat");
        assert!(page.contains("here for 30 minutes"), "{page}");
        assert!(page.contains("| mqtt | 30 | 30000 | 90 | 1200 | 0 |"), "{page}");
        assert!(page.contains(" 420.00 → 500.00 |"), "{page}");
    }
}
