//! The moment at which a new round robin takes over.

use std::{collections::HashSet, hash::Hash};

/// Returns the index of the first connection from which on `landed` follows one fixed circle of `members` backends until
/// its end: there a new round robin has taken over.
///
/// This finds the new configuration without waiting for the turn of any one backend. `None` if the last `members`
/// connections are no full circle: then `landed` ends too early, or something else changed.
pub fn taken_over<T: Copy + Eq + Hash>(landed: &[T], members: usize) -> Option<usize> {
    let start = landed.len().checked_sub(members).filter(|_| members > 0)?;
    let circle = &landed[start..];
    if circle.iter().collect::<HashSet<_>>().len() != members {
        return None;
    }
    let follows = |index: &usize| landed[*index] == landed[*index + members];
    Some((0..start).rev().take_while(follows).last().unwrap_or(start))
}

#[cfg(test)]
mod tests {
    use super::taken_over;

    #[test]
    fn the_first_connection_of_the_new_circle_is_found() {
        // a b c, a b c, then the circle d b a c from its beginning.
        assert_eq!(taken_over(b"abcabdbacdbac", 4), Some(5));
    }

    #[test]
    fn a_circle_that_was_always_there_has_taken_over_at_the_first_connection() {
        assert_eq!(taken_over(b"abcabcabc", 3), Some(0));
    }

    #[test]
    fn connections_that_end_before_a_full_circle_prove_nothing() {
        assert_eq!(taken_over(b"abcabcdb", 4), None);
        assert_eq!(taken_over(b"ab", 3), None);
        assert_eq!(taken_over(b"", 0), None);
    }
}
