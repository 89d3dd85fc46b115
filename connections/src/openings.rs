//! The balance of connections that were opened, and those that have been seen.

/// Compares the kernel's counter of opened connections with the connections that have been seen since.
///
/// The counter says how many connections were opened, and nothing says where they went. Holds its value when all
/// connections were known, how many have been seen since, and which of them could not be found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Openings {
    /// Value of the counter when all connections were known.
    settled_at: u64,
    /// Connections seen since for the first time, alive or not.
    seen: u64,
    /// Connections that may have been seen although the counter did not count them at `settled_at`: those opened while
    /// the table was read.
    doubtful: u64,
    /// Connections that have been looked for in vain.
    missed: u64,
}

impl Openings {
    /// Takes in that all connections are known that were opened before the counter had the value `before`. Until all had
    /// been seen, it went on to `after`.
    pub(crate) fn settle(&mut self, before: u64, after: u64) {
        *self = Self { settled_at: before, seen: 0, doubtful: after.saturating_sub(before), missed: 0 };
    }

    /// Takes in that `count` connections were seen for the first time.
    pub(crate) fn saw(&mut self, count: u64) {
        self.seen = self.seen.saturating_add(count);
    }

    /// Returns how many connections have been opened and not seen, given the value of the counter.
    pub(crate) fn unseen(&self, counter: u64) -> u64 {
        counter.saturating_sub(self.settled_at).saturating_sub(self.seen)
    }

    /// Returns how many of these unseen connections have certainly not been seen.
    pub(crate) fn certainly(&self, unseen: u64) -> u64 {
        unseen.saturating_sub(self.doubtful)
    }

    /// Returns `true` if some of these unseen connections have not been looked for yet.
    pub(crate) fn are_worth_a_search(&self, unseen: u64) -> bool {
        unseen > self.missed.max(self.doubtful)
    }

    /// Takes in that these connections are still unseen after a search. Returns `true` if only reading the table can find
    /// some of them. If connections are being `closed`, the new ones may be among them, which is announced until the next
    /// search.
    pub(crate) fn searched(&mut self, unseen: u64, closed: bool) -> bool {
        let for_good = if closed { unseen.min(self.missed) } else { unseen };
        self.missed = unseen;
        for_good > self.doubtful
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_search_missed_twice_is_missing() {
        let mut openings = Openings::default();
        openings.settle(100, 100);
        assert_eq!(openings.unseen(100), 0);
        assert_eq!(openings.unseen(103), 3);
        assert!(openings.are_worth_a_search(3));
        openings.saw(1);
        assert!(!openings.searched(openings.unseen(103), true), "it may have been closed a moment ago");
        assert!(!openings.are_worth_a_search(openings.unseen(103)), "nothing was opened since the search");
        openings.saw(1);
        assert!(openings.searched(openings.unseen(103), true));
        openings.settle(103, 103);
        assert_eq!(openings.unseen(103), 0);
        assert!(openings.searched(openings.unseen(104), false), "nothing was closed");
    }

    #[test]
    fn what_was_opened_while_the_table_was_read_may_have_been_seen() {
        let mut openings = Openings::default();
        openings.settle(100, 102);
        assert!(!openings.are_worth_a_search(openings.unseen(102)));
        assert!(!openings.searched(2, true) && !openings.searched(2, true) && !openings.searched(2, false));
        assert!(openings.are_worth_a_search(openings.unseen(103)));
        assert_eq!((openings.unseen(103), openings.certainly(3)), (3, 1));
    }

    #[test]
    fn a_connection_may_be_seen_before_it_is_counted() {
        let mut openings = Openings::default();
        openings.settle(100, 100);
        openings.saw(1);
        assert_eq!(openings.unseen(100), 0);
        assert_eq!(openings.unseen(101), 0);
        assert_eq!(openings.unseen(102), 1);
    }
}
