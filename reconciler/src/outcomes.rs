//! What became of the connections of a backend, in a form that can be compared with its peers.

use std::time::Duration;

use crate::observations::{EndedBy, Ending};

/// Ages below which an end by the backend counts as early. Which of them matters depends on the pool: connections that
/// live for 20 ms are normal where all of them do.
const EARLY_AGES: [Duration; 6] = [
    Duration::from_millis(50),
    Duration::from_millis(250),
    Duration::from_secs(1),
    Duration::from_secs(4),
    Duration::from_secs(16),
    Duration::from_secs(64),
];

/// Number of connections after which older ones count half.
const WINDOW: u32 = 64;

/// A way in which connections can end badly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    /// The backend ended it before this index of [`EARLY_AGES`].
    Early(usize),
    /// It ended before the longest of the ages without a byte from the backend.
    Silent,
}

impl Sign {
    /// Every sign, those that show soonest first.
    pub(crate) const ALL: [Self; EARLY_AGES.len() + 1] =
        [Self::Early(0), Self::Early(1), Self::Silent, Self::Early(2), Self::Early(3), Self::Early(4), Self::Early(5)];

    /// Returns the age after which a connection can no longer show this sign.
    pub(crate) fn age(self) -> Duration {
        match self {
            Self::Early(index) => EARLY_AGES[index],
            Self::Silent => EARLY_AGES[EARLY_AGES.len() - 1],
        }
    }

    fn applies_to(self, ending: &Ending) -> bool {
        ending.age <= self.age()
            && match self {
                // Where it is not known who closed, it may have been the backend; its peers have the same clients.
                Self::Early(_) => ending.by != EndedBy::Proxy,
                Self::Silent => ending.received == 0,
            }
    }

    /// Returns the position of the sign in a list of all of them.
    pub(crate) fn index(self) -> usize {
        match self {
            Self::Early(index) => index,
            Self::Silent => EARLY_AGES.len(),
        }
    }
}

/// Number of connections that opened, and of those that ended with each sign.
///
/// A connection that is still open counts as a good one, so a verdict never rests on connections of which nothing is
/// known yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcomes {
    pub(crate) opened: u32,
    bad: [u32; Sign::ALL.len()],
}

impl Outcomes {
    /// Takes in an ending, and returns `true` if it shows any sign.
    pub(crate) fn ended(&mut self, ending: &Ending) -> bool {
        let mut shows_any = false;
        for sign in Sign::ALL {
            let shows = sign.applies_to(ending);
            self.bad[sign.index()] = self.bad[sign.index()].wrapping_add(shows.into());
            shows_any |= shows;
        }
        shows_any
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.opened = self.opened.wrapping_add(other.opened);
        for (sum, bad) in self.bad.iter_mut().zip(other.bad) {
            *sum = sum.wrapping_add(bad);
        }
    }

    /// Returns what has been added since `before`.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let mut bad = self.bad;
        for (bad, before) in bad.iter_mut().zip(before.bad) {
            *bad = bad.wrapping_sub(before);
        }
        Self { opened: self.opened.wrapping_sub(before.opened), bad }
    }

    /// Makes older connections count less once there are many.
    pub(crate) fn fade(&mut self) {
        while self.opened > WINDOW {
            self.opened /= 2;
            self.bad.iter_mut().for_each(|bad| *bad /= 2);
        }
    }

    /// Returns the number of connections that ended with `sign`.
    pub(crate) fn bad(&self, sign: Sign) -> u32 {
        self.bad[sign.index()]
    }

    /// Returns the number of connections, of which none is missing that ended.
    pub(crate) fn total(&self, sign: Sign) -> u32 {
        self.opened.max(self.bad(sign))
    }

    /// Returns the share of the connections that ended with `sign`; a half where there are none.
    ///
    /// One connection more, of which a half was bad, keeps the share of a few from being 0 or 1.
    pub(crate) fn share(&self, sign: Sign) -> f64 {
        (f64::from(self.bad(sign)) + 0.5) / (f64::from(self.total(sign)) + 1.0)
    }

    /// Returns by how much these outcomes add to the evidence that connections have begun to end with `sign`, where the share
    /// `usual` of the peers' does; below 0 if they speak against it.
    ///
    /// This is the logarithm of the likelihood ratio of a cumulative sum test (CUSUM): failing is taken to be halfway from
    /// what is usual to all.
    pub(crate) fn evidence(&self, sign: Sign, usual: f64) -> f64 {
        let (bad, total) = (f64::from(self.bad(sign)), f64::from(self.total(sign)));
        let failing = usual.midpoint(1.0);
        bad * (failing / usual).ln() + (total - bad) * ((1.0 - failing) / (1.0 - usual)).ln()
    }

    /// Returns the strength of the evidence that more connections end with `sign` than the share `usual` of the peers.
    ///
    /// This is the logarithm of a likelihood ratio: by how much these outcomes are likelier with their own share than
    /// with the usual one. Chance alone reaches a strength of s with a probability of about e^-s.
    pub(crate) fn strength(&self, sign: Sign, usual: f64) -> f64 {
        let (bad, total) = (f64::from(self.bad(sign)), f64::from(self.total(sign)));
        let share = bad / total.max(1.0);
        if share <= usual {
            return 0.0;
        }
        let good = total - bad;
        let of_good = if good > 0.0 { good * ((1.0 - share) / (1.0 - usual)).ln() } else { 0.0 };
        bad * (share / usual).ln() + of_good
    }
}

/// Returns the share of connections that end with `sign` on the backends that do best: the mean of the lowest third, so
/// that it stays what is normal while most backends fail. `None` where no backend has enough connections to tell.
pub(crate) fn usual_share<'a>(outcomes: impl Iterator<Item = &'a Outcomes>, sign: Sign) -> Option<f64> {
    const MIN_CONNECTIONS: u32 = 4;
    let mut shares: Vec<f64> = outcomes.filter(|o| o.total(sign) >= MIN_CONNECTIONS).map(|o| o.share(sign)).collect();
    let third = shares.len().div_ceil(3);
    if third == 0 {
        return None;
    }
    shares.select_nth_unstable_by(third - 1, f64::total_cmp);
    #[expect(clippy::cast_precision_loss, reason = "there are far fewer than 2^53 backends")]
    let mean = shares[..third].iter().sum::<f64>() / third as f64;
    Some(mean)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending(age_ms: u64, received: u64, by: EndedBy) -> Ending {
        Ending { age: Duration::from_millis(age_ms), received, by }
    }

    fn outcomes(opened: u32, ended_at_once: u32) -> Outcomes {
        let mut outcomes = Outcomes { opened, ..Outcomes::default() };
        for _ in 0..ended_at_once {
            outcomes.ended(&ending(2, 30, EndedBy::Backend));
        }
        outcomes
    }

    #[test]
    fn an_early_end_by_the_backend_shows_every_sign_of_its_age_and_above() {
        let mut outcomes = Outcomes { opened: 1, ..Outcomes::default() };
        assert!(outcomes.ended(&ending(300, 30, EndedBy::Backend)));
        let bad: Vec<_> = Sign::ALL.into_iter().filter(|sign| outcomes.bad(*sign) == 1).collect();
        assert_eq!(bad, [Sign::Early(2), Sign::Early(3), Sign::Early(4), Sign::Early(5)]);
    }

    #[test]
    fn the_end_of_a_client_is_no_sign_unless_nothing_was_received() {
        let mut outcomes = Outcomes::default();
        assert!(!outcomes.ended(&ending(2, 30, EndedBy::Proxy)));
        assert!(outcomes.ended(&ending(2, 0, EndedBy::Proxy)));
        assert!(outcomes.ended(&ending(2, 0, EndedBy::NeverAnswered)));
        assert!(!outcomes.ended(&ending(70_000, 0, EndedBy::Backend)));
        assert_eq!((outcomes.bad(Sign::Silent), outcomes.bad(Sign::Early(0))), (2, 1));
    }

    #[test]
    fn evidence_is_strong_only_where_it_differs_from_what_is_usual() {
        let all_bad = outcomes(8, 8);
        assert!(all_bad.strength(Sign::Early(0), 0.05) > 20.0);
        assert!(all_bad.strength(Sign::Early(0), 0.95) < 1.0);
        assert!(outcomes(8, 4).strength(Sign::Early(0), 0.5) < 0.1);
        assert!(outcomes(2, 2).strength(Sign::Early(0), 0.05) < 6.1, "two connections prove little");
    }

    #[test]
    fn what_is_usual_is_what_the_best_third_does() {
        let bad = [outcomes(20, 20); 4];
        let good = [outcomes(20, 0); 2];
        let usual = usual_share(bad.iter().chain(&good), Sign::Early(0)).unwrap();
        assert!(usual < 0.05, "{usual}");
        assert!(usual_share(bad.iter(), Sign::Early(0)).unwrap() > 0.9);
        assert_eq!(usual_share([outcomes(1, 1)].iter(), Sign::Early(0)), None);
    }

    #[test]
    fn old_connections_count_less_than_new_ones() {
        let mut window = outcomes(64, 64);
        window.add(&outcomes(64, 0));
        window.fade();
        assert!((window.opened, window.bad(Sign::Early(0))) == (64, 32));
    }
}
