//! What must not have grown by the end of a soak: pure.

use std::collections::BTreeMap;

use anyhow::ensure;

use super::sample::Sample;

/// A quantity that has to be flat.
pub(crate) struct Quantity {
    pub(crate) name: &'static str,
    pub(crate) of: fn(&Sample) -> f64,
    /// Part by which it may grow.
    part: f64,
    /// Amount by which it may grow beside that: what allocators and idle connections keep for a while.
    amount: f64,
}

/// Quantities, in the order of the page.
pub(crate) const QUANTITIES: [Quantity; 7] = [
    Quantity { name: "memory of ilb, MiB", of: |sample| sample.ilb_mib, part: 0.0, amount: 12.0 },
    Quantity { name: "memory of Traefik, MiB", of: |sample| sample.traefik_mib, part: 0.1, amount: 16.0 },
    Quantity { name: "open files of ilb", of: |sample| sample.ilb_files, part: 0.0, amount: 12.0 },
    Quantity { name: "open files of Traefik", of: |sample| sample.traefik_files, part: 0.05, amount: 12.0 },
    Quantity { name: "goroutines of Traefik", of: |sample| sample.goroutines, part: 0.05, amount: 24.0 },
    Quantity { name: "pushes per second", of: |sample| sample.pushes / sample.took, part: 0.5, amount: 0.5 },
    Quantity { name: "imbalance", of: |sample| sample.imbalance, part: 0.0, amount: 0.15 },
];

/// Samples of an application below which nothing can be said: three events in each third.
pub(crate) const MIN_SAMPLES: usize = 9;

/// Returns the medians of a quantity in the first and in the last third of the samples.
pub(crate) fn trend(samples: &[Sample], of: fn(&Sample) -> f64) -> (f64, f64) {
    let third = samples.len().div_ceil(3);
    (median(samples.iter().take(third).map(of)), median(samples.iter().rev().take(third).map(of)))
}

/// Returns an error that names all that has grown, and all that was lost.
pub(crate) fn check(samples: &BTreeMap<String, Vec<Sample>>) -> anyhow::Result<()> {
    let mut broken = Vec::new();
    for (application, samples) in samples {
        ensure!(
            samples.len() >= MIN_SAMPLES,
            "{application} got through {} events, and {MIN_SAMPLES} are needed to tell: set a longer DURATION",
            samples.len()
        );
        for Quantity { name, of, part, amount } in &QUANTITIES {
            let (first, last) = trend(samples, *of);
            if last > first + first * part + amount {
                broken.push(format!("{application}: {name} has grown from {first:.1} to {last:.1}"));
            }
        }
        let lost: usize = samples.iter().map(|sample| sample.lost).sum();
        if lost > 0 {
            broken.push(format!("{application}: {lost} operations were confirmed and are lost"));
        }
    }
    ensure!(broken.is_empty(), "not flat:\n{}", broken.join("\n"));
    Ok(())
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::event::Event;

    /// Returns samples of an application whose goroutines grow by `growth` with each.
    pub(crate) fn soak(growth: f64) -> BTreeMap<String, Vec<Sample>> {
        let sample = |number: u8| Sample {
            at: f64::from(number) * 10.0,
            event: Event::RollingRestart,
            ilb_mib: 20.0,
            traefik_mib: 90.0,
            ilb_files: 30.0,
            traefik_files: 150.0,
            goroutines: 400.0 + growth * f64::from(number),
            pushes: 40.0,
            took: 10.0,
            imbalance: 0.05,
            closed: 40,
            confirmed: 1000,
            failed: 3,
            lost: 0,
        };
        BTreeMap::from([("mqtt".to_owned(), (0..30).map(sample).collect())])
    }

    #[test]
    fn what_stays_is_flat_and_what_grows_with_each_event_is_not() {
        check(&soak(0.0)).unwrap();
        let error = check(&soak(4.0)).unwrap_err().to_string();
        assert_eq!(error, "not flat:\nmqtt: goroutines of Traefik has grown from 420.0 to 500.0");
    }

    #[test]
    fn each_quantity_can_fail() {
        for Quantity { name, of, part, amount } in &QUANTITIES {
            let mut samples = soak(0.0);
            for sample in samples.get_mut("mqtt").unwrap().iter_mut().skip(15) {
                let more = of(sample) * part + amount + 0.1;
                match *name {
                    "memory of ilb, MiB" => sample.ilb_mib += more,
                    "memory of Traefik, MiB" => sample.traefik_mib += more,
                    "open files of ilb" => sample.ilb_files += more,
                    "open files of Traefik" => sample.traefik_files += more,
                    "goroutines of Traefik" => sample.goroutines += more,
                    "pushes per second" => sample.pushes += more * sample.took,
                    _ => sample.imbalance += more,
                }
            }
            assert!(check(&samples).unwrap_err().to_string().contains(name), "{name}");
        }
    }

    #[test]
    fn a_loss_and_a_soak_that_is_too_short_are_errors() {
        let mut lost = soak(0.0);
        lost.get_mut("mqtt").unwrap()[3].lost = 2;
        assert!(check(&lost).unwrap_err().to_string().ends_with("mqtt: 2 operations were confirmed and are lost"));
        let mut short = soak(0.0);
        short.get_mut("mqtt").unwrap().truncate(4);
        assert!(check(&short).unwrap_err().to_string().contains("set a longer DURATION"));
    }
}
