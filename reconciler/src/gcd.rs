/// The greatest common divisor of all `numbers`; 0 if there is none but 0.
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
    fn the_divisor_divides_all_and_zero_counts_for_nothing() {
        assert_eq!(gcd([12, 18, 0, 30]), 6);
        assert_eq!(gcd([7]), 7);
        assert_eq!(gcd([0, 0]), 0);
        assert_eq!(gcd([]), 0);
    }
}
