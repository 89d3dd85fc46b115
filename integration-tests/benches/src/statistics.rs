//! Few numbers that stand for many samples.

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

#[cfg(test)]
mod tests {
    use super::*;

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
