//! Chooses among equals without random numbers.

/// Returns a number that depends on both in a way that nothing else does: the same in every run, and spread evenly
/// (splitmix64).
pub(crate) fn mixed(a: u64, b: u64) -> u64 {
    let mut z = a.wrapping_add(b.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Returns a number from 0 to 1000 that depends on both.
pub(crate) fn permille(a: u64, b: u64) -> u32 {
    u32::try_from(mixed(a, b) % 1001).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_turn_has_another_order() {
        let first = |turn| (0..100).min_by_key(|cookie| mixed(*cookie, turn)).unwrap();
        assert!((0..100).map(first).collect::<BTreeSet<u64>>().len() > 50);
    }

    #[test]
    fn the_numbers_are_spread_evenly() {
        let mean = (0..10_000).map(|cookie| u64::from(permille(cookie, 1))).sum::<u64>() / 10_000;
        assert!((490..=510).contains(&mean), "{mean}");
    }
}
