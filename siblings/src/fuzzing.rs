//! What the fuzz target of the answers calls.

use crate::{limits::MAX_POOLS, wire::Answer};

/// Parses `json` as the answer of a sibling, which is either refused or within the limits.
pub fn siblings(json: &[u8]) {
    if let Ok(answer) = Answer::parse(json) {
        assert!(answer.pools.len() <= MAX_POOLS, "too many pools");
        assert!(answer.pools.values().all(|report| report.replica == answer.replica), "a report of another replica");
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_corpus_is_survived() {
        ilb_fuzz_replay::replay("siblings", super::siblings);
    }
}
