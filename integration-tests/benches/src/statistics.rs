//! Few numbers that stand for many samples.

use std::{collections::BTreeMap, time::Duration};

/// Returns the smallest of `samples` that `percent` of them do not exceed; `None` if there are none.
pub fn percentile<T: Copy + PartialOrd>(mut samples: Vec<T>, percent: usize) -> Option<T> {
    samples.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    samples.get((samples.len() * percent).div_ceil(100).saturating_sub(1)).copied()
}

/// Returns the median, which is the mean of the two in the middle for an even number of samples; 0 if there are none.
pub fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    let at = |index: usize| samples.get(index).copied().unwrap_or_default();
    let half = samples.len() / 2;
    if samples.len() % 2 == 1 { at(half) } else { f64::midpoint(at(half.saturating_sub(1)), at(half)) }
}

/// Returns the greatest number of `moments`, in their order, within any span of this length.
pub fn most_within(span: Duration, moments: &[Duration]) -> usize {
    let mut first = 0;
    let within = |(last, moment): (usize, &Duration)| {
        while moments[first] + span <= *moment {
            first += 1;
        }
        last + 1 - first
    };
    moments.iter().enumerate().map(within).max().unwrap_or_default()
}

/// Returns how many different values there are more than once.
pub fn repeated<T: Ord>(values: impl IntoIterator<Item = T>) -> usize {
    let mut numbers = BTreeMap::<T, usize>::new();
    for value in values {
        *numbers.entry(value).or_default() += 1;
    }
    numbers.values().filter(|number| **number > 1).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fullest_second_may_begin_at_any_moment() {
        let moments = [0, 400, 800, 1_300, 1_350, 2_400].map(Duration::from_millis);
        assert_eq!(most_within(Duration::from_secs(1), &moments), 4, "from 400 to 1 350");
        assert_eq!(most_within(Duration::from_millis(400), &moments[..2]), 1, "the end is not in it");
        assert_eq!(most_within(Duration::from_secs(1), &[]), 0);
    }

    #[test]
    fn what_there_is_three_times_is_repeated_once() {
        assert_eq!(repeated([3, 1, 3, 2, 3, 1]), 2);
        assert_eq!(repeated([1, 2, 3]), 0);
    }

    #[test]
    fn a_percentile_is_one_of_the_samples() {
        let samples: Vec<u32> = (1..=200).rev().collect();
        assert_eq!(percentile(samples.clone(), 50), Some(100));
        assert_eq!(percentile(samples.clone(), 99), Some(198));
        assert_eq!(percentile(samples, 100), Some(200));
        assert_eq!(percentile(vec![3.0], 99), Some(3.0));
        assert_eq!(percentile(Vec::<f64>::new(), 50), None);
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        assert!((median(vec![9.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(vec![9.0, 1.0, 2.0, 4.0]) - 3.0).abs() < f64::EPSILON);
        assert!(median(Vec::new()).abs() < f64::EPSILON);
    }
}
