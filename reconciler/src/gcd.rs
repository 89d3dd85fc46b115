//! The greatest common divisor.

/// Returns the greatest common divisor of all `numbers`; 0 if all of them are 0.
pub(crate) fn gcd(numbers: impl IntoIterator<Item = u64>) -> u64 {
    numbers.into_iter().fold(0, |mut a, mut b| {
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_divisor_divides_all_numbers_and_zeros_are_ignored() {
        assert_eq!(gcd([12, 18, 0, 30]), 6);
        assert_eq!(gcd([7]), 7);
        assert_eq!(gcd([0, 0]), 0);
        assert_eq!(gcd([]), 0);
    }
}
