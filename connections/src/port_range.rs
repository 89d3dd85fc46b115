//! Predicts the local ports of the next connections to a remote address.

/// Local ports from which the kernel picks one for each connection.
///
/// Linux keeps a position in this range per pair of local and remote address, local port apart. For each connection, it
/// tries every second port from there on, takes the first one that is free, and moves the position 2 to 16 ports behind
/// it (`__inet_hash_connect`). So the next connection to the same address has one of the next 8 ports that are free.
/// Every 10 s, all positions are [shuffled](crate::shuffles::Shuffles). Kernels before 5.18 take the very next port, and
/// those before 5.13 share the position among all addresses, which makes it unpredictable.
///
/// What is predicted only saves work: nothing may depend on its being right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PortRange {
    first: u16,
    /// Number of ports, even.
    size: u16,
}

/// Number of ports, 2 apart, among which the next connection has its own if none of them is taken.
const STEPS: u16 = 8;

/// Ports further apart than this were not given one soon after the other.
const MAX_GAP: u16 = 16 * 2 * STEPS;

/// The port that was given last, relative to the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Newest {
    /// No port was given since.
    None,
    /// The port follows the one before.
    Behind(u16),
    /// Ports are given elsewhere in the range now.
    Elsewhere(u16),
}

impl PortRange {
    /// Creates the range of ports from `first` to `last`; `None` if it has no two ports.
    pub(crate) fn new(first: u16, last: u16) -> Option<Self> {
        let size = last.checked_sub(first)?.saturating_add(1) & !1;
        (size > 0).then_some(Self { first, size })
    }

    /// Iterates over the ports that the next connection after the one with the local port `last` may have, nearest
    /// first, without regard to those that are taken. Continues over the whole range.
    pub(crate) fn candidates(self, last: u16) -> impl Iterator<Item = u16> {
        let start = self.offset(last) & !1;
        (1..=self.size / 2).map(move |step| self.at(u32::from(start) + 2 * u32::from(step)))
    }

    /// Returns `true` if the search for the next connection ends with the candidate of this number, counted from 0:
    /// none of the next candidates can be the one. `is_free` says whether this candidate is.
    pub(crate) fn ends_search(candidate: usize, is_free: bool) -> bool {
        candidate + 1 >= usize::from(STEPS) && is_free
    }

    /// Returns the port of `new` that was given last. Those before ended with `last`.
    pub(crate) fn newest(self, last: Option<u16>, new: &[u16]) -> Newest {
        let Some(last) = last else { return self.newest_of(new).map_or(Newest::None, Newest::Elsewhere) };
        let (mut newest, mut elsewhere) = (last, Vec::new());
        let mut ahead: Vec<u16> = new.to_vec();
        ahead.sort_unstable_by_key(|port| self.distance(last, *port));
        for port in ahead {
            if self.distance(newest, port) <= MAX_GAP {
                newest = port;
            } else if self.distance(port, last) > MAX_GAP {
                elsewhere.push(port);
            }
        }
        match self.newest_of(&elsewhere) {
            Some(port) => Newest::Elsewhere(port),
            None if newest == last => Newest::None,
            None => Newest::Behind(newest),
        }
    }

    /// Returns the port of those that was given last. Connections that were opened one after the other are close
    /// together: the newest is the one before the widest gap.
    fn newest_of(self, ports: &[u16]) -> Option<u16> {
        let mut sorted = ports.to_vec();
        sorted.sort_unstable_by_key(|port| self.offset(*port));
        sorted.dedup();
        let next = sorted.iter().cycle().skip(1);
        let gap = |(port, next): &(&u16, &u16)| self.distance(**port, **next).wrapping_sub(1);
        sorted.iter().zip(next).max_by_key(gap).map(|(port, _)| *port)
    }

    /// Returns how far a local port is away from `last`, if it is so near that both connections probably went to the same
    /// remote address.
    pub(crate) fn nearness(self, last: u16, port: u16) -> Option<u16> {
        let distance = self.distance(last, port).min(self.distance(port, last));
        (distance <= MAX_GAP).then_some(distance)
    }

    fn distance(self, from: u16, to: u16) -> u16 {
        let distance = u32::from(self.offset(to)) + u32::from(self.size) - u32::from(self.offset(from));
        u16::try_from(distance % u32::from(self.size)).unwrap_or_default()
    }

    fn offset(self, port: u16) -> u16 {
        // Ports outside of the range are chosen by the process, and predict nothing.
        port.saturating_sub(self.first) % self.size
    }

    fn at(self, offset: u32) -> u16 {
        self.first.saturating_add(u16::try_from(offset % u32::from(self.size)).unwrap_or_default())
    }
}

impl Default for PortRange {
    /// Returns the default of Linux.
    fn default() -> Self {
        Self { first: 32_768, size: 28_232 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_next_connection_has_one_of_the_next_ports() {
        let range = PortRange::new(32_768, 60_999).unwrap();
        let candidates: Vec<u16> = range.candidates(60_990).take(8).collect();
        assert_eq!(candidates, [60_992, 60_994, 60_996, 60_998, 32_768, 32_770, 32_772, 32_774]);
        assert_eq!(range.candidates(40_001).next(), Some(40_002), "the kernel searches for even ports first");
    }

    #[test]
    fn the_search_goes_on_behind_a_port_that_is_taken() {
        assert!(!PortRange::ends_search(6, true));
        assert!(PortRange::ends_search(7, true));
        assert!(!PortRange::ends_search(7, false));
        assert!(PortRange::ends_search(8, true));
    }

    #[test]
    fn the_newest_port_is_the_one_before_the_widest_gap() {
        let range = PortRange::new(32_768, 60_999).unwrap();
        assert_eq!(range.newest(None, &[40_010, 40_000, 40_022]), Newest::Elsewhere(40_022));
        assert_eq!(range.newest(None, &[60_990, 32_770, 60_980]), Newest::Elsewhere(32_770));
        assert_eq!(range.newest(None, &[40_000]), Newest::Elsewhere(40_000));
        assert_eq!(range.newest(None, &[]), Newest::None);
    }

    #[test]
    fn the_newest_port_follows_the_last_one_or_is_elsewhere() {
        let range = PortRange::new(32_768, 60_999).unwrap();
        assert_eq!(range.newest(Some(40_010), &[40_000, 40_030, 40_020]), Newest::Behind(40_030));
        assert_eq!(range.newest(Some(40_010), &[40_000]), Newest::None);
        assert_eq!(range.newest(Some(40_010), &[40_020, 36_010, 36_002]), Newest::Elsewhere(36_010));
        assert_eq!(range.newest(Some(60_998), &[32_770]), Newest::Behind(32_770));
    }

    proptest! {
        /// Ports given as the kernel does are found one after the other, wherever the range begins and ends.
        #[test]
        fn each_connection_follows_the_one_before(
            first in 1024..60_000u16,
            size in 100..5_000u16,
            steps in proptest::collection::vec(1..=8u16, 1..40),
        ) {
            let range = PortRange::new(first, first.saturating_add(size)).unwrap();
            let mut last = first;
            for step in steps {
                let next = range.candidates(last).nth(usize::from(step) - 1).unwrap();
                prop_assert!(range.nearness(last, next).unwrap() <= 2 * STEPS);
                prop_assert_eq!(range.newest(Some(last), &[next]), Newest::Behind(next));
                last = next;
            }
        }

        #[test]
        fn no_port_is_too_strange(last in any::<u16>(), new in proptest::collection::vec(any::<u16>(), 0..5)) {
            for range in [PortRange::default(), PortRange::new(0, u16::MAX).unwrap(), PortRange::new(7, 8).unwrap()] {
                range.candidates(last).take(20).count();
                let _ = (range.newest(None, &new), range.newest(Some(last), &new));
            }
        }
    }
}
