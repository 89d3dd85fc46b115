//! Portions: how replicas share out whole connections without asking each other.

/// Returns how many of `whole` connections one of several replicas takes on, in proportion to what each has.
///
/// The replicas are in an order on which all agree, such as that of their [`ReplicaId`](super::ReplicaId)s: those before
/// this one have `before` connections together, this one has `own`, and all together have `all`. If all replicas call this
/// with the same numbers, their portions sum up to `whole`, and none exceeds what the replica has as long as `whole` does
/// not exceed `all`.
///
/// ```
/// use ilb_reconciler::siblings::portion;
///
/// // Three replicas have 5, 0 and 4 connections, of which 6 are to be closed.
/// assert_eq!([portion(6, 0, 5, 9), portion(6, 5, 0, 9), portion(6, 5, 4, 9)], [3, 0, 3]);
/// ```
pub fn portion(whole: u64, before: u64, own: u64, all: u64) -> u64 {
    let (whole, all) = (u128::from(whole.min(all)), u128::from(all.max(1)));
    let up_to = |connections: u64| whole * u128::from(connections) / all;
    let before = before.min(u64::try_from(all).unwrap_or(u64::MAX));
    let with_own = before.saturating_add(own).min(u64::try_from(all).unwrap_or(u64::MAX));
    u64::try_from(up_to(with_own) - up_to(before)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn connections() -> impl Strategy<Value = u64> {
        prop_oneof![0..50u64, 0..u64::from(u32::MAX)]
    }

    proptest! {
        #[test]
        fn portions_sum_up_and_nobody_gives_more_than_it_has(
            each in vec(connections(), 1..20), percent in 0..=100u64,
        ) {
            let all: u64 = each.iter().sum();
            let whole = all * percent / 100;
            let (mut before, mut sum) = (0, 0);
            for own in each {
                let part = portion(whole, before, own, all);
                prop_assert!(part <= own, "{part} of {own}");
                // By less than one connection, each gives its proportional part.
                let exact = u128::from(whole) * u128::from(own);
                prop_assert!((u128::from(part) * u128::from(all)).abs_diff(exact) < u128::from(all.max(1)));
                (before, sum) = (before + own, sum + part);
            }
            prop_assert_eq!(sum, whole);
        }

        #[test]
        fn numbers_that_contradict_each_other_give_no_more_than_the_whole(
            whole: u64, before: u64, own: u64, all: u64,
        ) {
            prop_assert!(portion(whole, before, own, all) <= whole.min(all));
        }
    }
}
