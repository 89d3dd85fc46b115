//! The trigger: decides whether a push for balance is worth its cost.

use std::time::Duration;

use crate::decision::Reason;

/// Difference between the plan in force and a fresh one for one backend, in connections per share of capacity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Drift {
    /// Connections that the plan in force still has in store, in the whole numbers that Traefik knows.
    pub(crate) left: f64,
    /// Connections that a fresh plan would have in store, in whole numbers.
    pub(crate) fresh_left: f64,
    /// Connections that the plan in force had in store for the backend when it was pushed.
    pub(crate) pushed: f64,
    /// Connections that have opened since then.
    pub(crate) opened: f64,
    /// Difference to `opened` if those that opened around the push were placed by the other plan than they are taken to be.
    pub(crate) in_doubt: f64,
    /// Connections that a fresh plan would have in store.
    pub(crate) fresh: f64,
    /// Live connections.
    pub(crate) load: f64,
    /// Shares of the connections, relative to the other backends.
    pub(crate) shares: f64,
}

/// Number of connections, relative to the mean load, by which a backend may be fuller than the emptiest one and still
/// get the next connection. At least one connection is tolerated.
const MAX_EXCESS: f64 = 0.05;

/// Number of connections, relative to the mean load, by which one of the fullest backends has to be fuller than the
/// emptiest one before that matters.
///
/// It decides how many pushes many connections need: with 100 on each backend and lives of 6 s there are 13 a second and
/// an imbalance of 1.5 %, where 1.5 % of the mean load instead of these 2.5 % need 20 for an imbalance of 1.3 % (mean of 4
/// runs of the simulation).
const MAX_EXCESS_OF_FULLEST: f64 = 0.025;

/// Part of the way from the emptiest backend to the fullest one, from which on a backend is too full for the very next
/// connection. Those after it can still be led elsewhere by a later push, so for them only the fullest one is. With lives of
/// 6 s and 30 connections each, and pushes of 2.1 ms, the imbalance is 2.72 instead of 2.91 % for 22 instead of 14 pushes a
/// second (mean of 10 runs of the simulation).
const FULL_FOR_NEXT: f64 = 0.5;

/// Number of connections, relative to the mean load, by which such a backend has to be fuller than the emptiest one.
const MAX_EXCESS_OF_NEXT: f64 = 0.03;

/// Difference between two backends, relative to the mean load, that is tolerated even if the next connections go where
/// they should: a burst would reach what comes after them.
const MAX_SINGLE_DRIFT: f64 = 0.1;

/// Time since the last push after which any difference is repaired: a burst of any size then finds a plan that is exact.
const REPAIRED_AFTER: Duration = Duration::from_secs(30);

/// Time since the last push after which parts of a connection decide about the next one, also if siblings have not counted since.
/// Before they have, replicas would follow each other's old news, and all lead their next connections to the same backend (a
/// PostgreSQL at its limit refused sessions in two of six runs).
const EXACT_AFTER: Duration = Duration::from_secs(1);

/// Time since the last push after which the tolerances are halved: a small error costs more, the longer it lasts.
const TOLERANCE_HALVED_AFTER: Duration = Duration::from_secs(60);

/// Difference between weights or connections that is none: rounding errors of divisions by a number of shares are far below.
const SAME: f64 = 1e-6;

/// Returns the reason for a push now; `None` if a push would gain too little. `picks` is the number of connections that
/// are expected before a later push could be in force. `share` is the part of all connections that this replica gets: a
/// connection of a sibling changes its drifts by about as much. `siblings_have_counted` tells that there are siblings, and all
/// that are heard have counted since the last push: what it left out is in their counts.
pub(crate) fn reason_to_push(
    drifts: &[Drift],
    since_push: Duration,
    picks: u32,
    share: f64,
    siblings_have_counted: bool,
) -> Option<Reason> {
    let tolerance = 1.0 / (1.0 + since_push.as_secs_f64() / TOLERANCE_HALVED_AFTER.as_secs_f64());
    // Replicas that know the same err alike, and what they tolerate adds up, as by their shares. The errors of others cancel
    // each other in part, as by the roots of them. The middle of both was the best in the simulation.
    let mean_load = mean(drifts.iter().map(|s| s.load)) * share.powf(0.75);
    let max_single_drift = (MAX_SINGLE_DRIFT * mean_load * tolerance).max(share);
    let max_excess = MaxExcess {
        any: (MAX_EXCESS * mean_load * tolerance).max(share),
        next: MAX_EXCESS_OF_NEXT * mean_load * tolerance,
        fullest: MAX_EXCESS_OF_FULLEST * mean_load * tolerance,
    };
    let rest: Vec<f64> = drifts.iter().map(|s| s.pushed - s.opened - s.fresh).collect();
    // Backends with several shares differ by parts of a connection for no reason.
    let or_rest: Vec<f64> = drifts.iter().zip(&rest).map(|(s, rest)| rest - s.in_doubt).collect();
    let is_inexact = since_push >= REPAIRED_AFTER && range(&rest).max(range(&or_rest)) > 0.5 * share;
    if is_inexact
        || range(&rest) > max_single_drift
        || leads_astray(drifts, picks, &max_excess, siblings_have_counted || since_push >= EXACT_AFTER)
    {
        return Some(Reason::Balance);
    }
    let after_rebuild: Vec<f64> = drifts.iter().map(|s| s.pushed - s.fresh).collect();
    (range(&after_rebuild) > 2.0 * max_single_drift).then_some(Reason::Freshness)
}

/// Numbers of connections by which a backend may be fuller than the emptiest one and still get a connection.
struct MaxExcess {
    any: f64,
    /// Excess for the very next connection, if the backend is nearer to the fullest one than to the emptiest.
    next: f64,
    fullest: f64,
}

/// Returns `true` if the plan in force gives one of the next connections to a backend that is too full.
///
/// The weights that are left tell the order of the next connections. Among backends with the same weight left the order
/// is unknown, and the fullest is taken to be the next.
fn leads_astray(drifts: &[Drift], picks: u32, max_excess: &MaxExcess, has_settled: bool) -> bool {
    let highest = drifts.iter().map(|s| s.fresh).fold(f64::NEG_INFINITY, f64::max);
    let lowest = drifts.iter().map(|s| s.fresh).fold(f64::INFINITY, f64::min);
    let mut left: Vec<f64> = drifts.iter().map(|s| s.pushed - s.opened).collect();
    let mut excess: Vec<f64> = drifts.iter().map(|s| highest - s.fresh).collect();
    let fullest = highest - lowest;
    if has_settled && picks > 0 && leads_next_astray(drifts, &excess, max_excess) {
        return true;
    }
    for pick in 0..picks {
        let order = |a: &usize, b: &usize| left[*a].total_cmp(&left[*b]).then(excess[*a].total_cmp(&excess[*b]));
        let Some(next) = (0..drifts.len()).max_by(order) else { return false };
        let emptiest = excess.iter().copied().fold(f64::INFINITY, f64::min);
        let over = excess[next] - emptiest;
        let is_full = |part: f64| excess[next] > part * fullest - SAME;
        if over > max_excess.any + SAME
            || (over > max_excess.next + SAME && pick == 0 && is_full(FULL_FOR_NEXT))
            || (over > max_excess.fullest + SAME && is_full(1.0))
        {
            return true;
        }
        left[next] -= 1.0 / drifts[next].shares;
        excess[next] += 1.0 / drifts[next].shares;
    }
    false
}

/// Returns `true` if the very next connection may get to a backend that is too full, and with a fresh plan would not.
///
/// Traefik knows whole numbers: where parts of a connection make the difference between backends, those that a plan left out
/// when it was pushed make none.
fn leads_next_astray(drifts: &[Drift], excess: &[f64], max_excess: &MaxExcess) -> bool {
    let highest = |value: fn(&Drift) -> f64| drifts.iter().map(value).fold(f64::NEG_INFINITY, f64::max);
    let (left, fresh) = (highest(|s| s.left), highest(|s| s.fresh_left));
    let emptiest = excess.iter().copied().fold(f64::INFINITY, f64::min);
    drifts.iter().zip(excess).any(|(s, excess)| {
        s.left >= left - SAME && s.fresh_left < fresh - SAME && excess - emptiest > max_excess.next + SAME
    })
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let (count, sum) = values.fold((0.0, 0.0), |(count, sum), value| (count + 1.0, sum + value));
    if count > 0.0 { sum / count } else { 0.0 }
}

fn range(values: &[f64]) -> f64 {
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let smallest = values.iter().copied().fold(f64::INFINITY, f64::min);
    if values.is_empty() { 0.0 } else { largest - smallest }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PICKS: u32 = 2;

    /// Returns backends with `load` connections each, of which some have ended and `opened` have opened since the push.
    fn drifts(load: f64, ended: &[f64], opened: f64) -> Vec<Drift> {
        let drift = |ended: &f64| {
            let (left, fresh) = (1e6 - opened, 1e6 - opened + ended);
            Drift { left, fresh_left: fresh, pushed: 1e6, opened, in_doubt: 0.0, fresh, load, shares: 1.0 }
        };
        ended.iter().map(drift).collect()
    }

    #[test]
    fn arrivals_where_the_plan_puts_them_need_no_push() {
        assert_eq!(reason_to_push(&drifts(30.0, &[0.0; 10], 7.0), Duration::ZERO, PICKS, 1.0, false), None);
    }

    #[test]
    fn a_departure_matters_once_the_next_connection_would_go_to_one_of_the_fullest() {
        let mut drifts = drifts(3.0, &[1.0, 0.0, 0.0, 0.0], 0.0);
        assert_eq!(reason_to_push(&drifts, Duration::ZERO, 1, 1.0, false), Some(Reason::Balance));
        // Two more backends are still to get one connection each by the plan in force, and have room for it.
        for drift in &mut drifts[2..] {
            (drift.pushed, drift.fresh) = (drift.pushed + 1.0, drift.fresh + 1.0);
            (drift.left, drift.fresh_left) = (drift.left + 1.0, drift.fresh_left + 1.0);
        }
        assert_eq!(reason_to_push(&drifts, Duration::ZERO, PICKS, 1.0, false), None);
        assert_eq!(reason_to_push(&drifts, Duration::ZERO, PICKS + 2, 1.0, false), Some(Reason::Balance));
    }

    #[test]
    fn the_very_next_connection_goes_to_none_of_the_fuller_half() {
        // Two, one and no connections more room than the fullest one. The plan in force has more left for some.
        let with_left = |left: [f64; 3], picks| {
            let mut drifts = drifts(30.0, &[2.0, 1.0, 0.0], 0.0);
            for (drift, left) in drifts.iter_mut().zip(left) {
                drift.pushed = 1e6 + left;
                drift.left = drift.pushed;
            }
            reason_to_push(&drifts, Duration::ZERO, picks, 1.0, false)
        };
        assert_eq!(with_left([0.0, 1.0, 0.0], 1), Some(Reason::Balance));
        assert_eq!(
            with_left([2.0, 1.5, 0.0], 2),
            None,
            "the emptiest is next, and what follows can still be led elsewhere"
        );
    }

    #[test]
    fn the_very_next_connection_goes_to_an_emptiest_once_nothing_is_late() {
        // Four, three and no connections more room than the fullest one. The first two are next alike by the plan in force.
        let mut drifts = drifts(6.0, &[4.0, 3.0, 0.0], 0.0);
        for (drift, left) in drifts.iter_mut().zip([3.0, 3.0, 0.0]) {
            (drift.pushed, drift.left) = (1e6 + left, 1e6 + left);
        }
        assert_eq!(reason_to_push(&drifts, Duration::ZERO, PICKS, 1.0, false), None);
        assert_eq!(reason_to_push(&drifts, EXACT_AFTER, PICKS, 1.0, false), Some(Reason::Balance));
        assert_eq!(reason_to_push(&drifts, Duration::ZERO, PICKS, 1.0, true), Some(Reason::Balance));
    }

    /// Differences of less than a connection, as siblings make them, were left out when the plan was pushed, because the counts
    /// were old then.
    #[test]
    fn a_next_connection_that_is_anyones_in_whole_numbers_is_led_to_the_emptiest() {
        let mut drifts = drifts(2.0, &[0.2, 0.0, 0.0], 0.0);
        for (drift, pushed) in drifts.iter_mut().zip([1e6, 1e6 - 0.14, 1e6 - 0.2]) {
            (drift.pushed, drift.fresh_left) = (pushed, drift.fresh.ceil());
        }
        assert_eq!(reason_to_push(&drifts, EXACT_AFTER, PICKS, 0.22, false), Some(Reason::Balance));
        assert_eq!(reason_to_push(&drifts, Duration::ZERO, PICKS, 0.22, false), None, "siblings have not counted yet");
        assert_eq!(reason_to_push(&drifts, Duration::ZERO, PICKS, 0.22, true), Some(Reason::Balance));
        // A fresh plan would be no better.
        drifts[0].fresh_left = 1e6;
        assert_eq!(reason_to_push(&drifts, EXACT_AFTER, PICKS, 0.22, false), None);
    }

    #[test]
    fn a_small_excess_is_repaired_late_and_a_large_one_at_once() {
        let full = |ended: f64| {
            let mut drifts = drifts(200.0, &[ended; 9], 0.0);
            // Fuller than the others, but not the fullest, and the next one by the plan in force.
            drifts.push(Drift { pushed: 1e6 + 1.0, fresh: 1e6, ..drifts[0] });
            drifts.push(Drift { pushed: 1e6 - 9.0, fresh: 1e6 - 9.0, ..drifts[0] });
            drifts
        };
        assert_eq!(reason_to_push(&full(4.0), Duration::ZERO, PICKS, 1.0, false), None);
        assert_eq!(reason_to_push(&full(4.0), Duration::from_secs(120), PICKS, 1.0, false), Some(Reason::Balance));
        assert_eq!(reason_to_push(&full(12.0), Duration::ZERO, PICKS, 1.0, false), Some(Reason::Balance));
    }

    #[test]
    fn a_difference_that_does_not_matter_for_the_next_connections_is_repaired_late() {
        let mut drifts = drifts(14.0, &[0.0; 6], 0.0);
        for drift in &mut drifts[..4] {
            (drift.pushed, drift.fresh) = (drift.pushed + 1.0, drift.fresh + 1.0);
        }
        drifts[4].fresh += 1.0;
        assert_eq!(reason_to_push(&drifts, Duration::ZERO, PICKS, 1.0, false), None);
        assert_eq!(reason_to_push(&drifts, REPAIRED_AFTER, PICKS, 1.0, false), Some(Reason::Balance));
    }

    #[test]
    fn a_plan_that_may_be_inexact_is_repaired_late() {
        for in_doubt in [1.0, -1.0] {
            let mut drifts = drifts(14.0, &[0.0; 6], 3.0);
            drifts[2].in_doubt = in_doubt;
            assert_eq!(reason_to_push(&drifts, Duration::ZERO, PICKS, 1.0, false), None);
            assert_eq!(reason_to_push(&drifts, REPAIRED_AFTER, PICKS, 1.0, false), Some(Reason::Balance));
        }
    }

    #[test]
    fn one_backend_far_off_among_a_thousand_is_seen() {
        let mut ended = vec![0.0; 1_000];
        ended[7] = 8.0;
        assert_eq!(
            reason_to_push(&drifts(50.0, &ended, 0.0), Duration::ZERO, PICKS, 1.0, false),
            Some(Reason::Balance)
        );
    }

    #[test]
    fn a_backend_with_several_shares_takes_one_connection_per_share() {
        // Both are as full as each other, and the second takes three connections where the first takes one.
        let single = drifts(20.0, &[0.0], 0.0)[0];
        let triple = Drift { pushed: 1e6 + 2.0, fresh: 1e6 + 2.0, shares: 3.0, ..single };
        assert_eq!(reason_to_push(&[single, triple], Duration::ZERO, 6, 1.0, false), None);
        let lost = Drift { fresh: 1e6 + 1.0, ..single };
        assert_eq!(reason_to_push(&[lost, triple], Duration::ZERO, 6, 1.0, false), Some(Reason::Balance));
    }

    #[test]
    fn gaps_that_are_filled_by_now_are_a_reason_to_push() {
        let full = drifts(50.0, &[0.0], 0.0)[0];
        let filled = Drift { pushed: 1e6 + 40.0, opened: 40.0, ..full };
        assert_eq!(reason_to_push(&[filled, full], Duration::ZERO, PICKS, 1.0, false), Some(Reason::Freshness));
    }

    #[test]
    fn where_siblings_share_a_smaller_difference_matters() {
        // The backend that is next by the plan in force is fuller than the others by one connection of a sibling.
        let mut drifts = drifts(60.0, &[0.4; 6], 0.0);
        drifts[0].fresh -= 0.4;
        drifts.push(Drift { pushed: 1e6 - 9.0, fresh: 1e6 - 9.0, ..drifts[0] });
        drifts[0].pushed += 0.1;
        assert_eq!(reason_to_push(&drifts, Duration::ZERO, PICKS, 1.0, false), None);
        let few = drifts.iter().map(|drift| Drift { load: 2.0, ..*drift }).collect::<Vec<_>>();
        assert_eq!(reason_to_push(&few, Duration::ZERO, PICKS, 1.0, false), None);
        assert_eq!(reason_to_push(&few, Duration::ZERO, PICKS, 0.3, false), Some(Reason::Balance));
    }

    #[test]
    fn without_backends_there_is_nothing_to_gain() {
        assert_eq!(reason_to_push(&[], Duration::ZERO, PICKS, 1.0, false), None);
    }
}
