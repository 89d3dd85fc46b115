//! What the fuzz target of the answers calls.

use crate::{limits::MAX_POOLS, wire::Answer};

/// Answer that the others of the corpus say the changes of.
const KNOWN: &[u8] =
    br#"{"v":1,"replica":"8f14e45f-ceea-467f-a8c1-0d2a6d3c9b01","sample":4710,"age_ms":0,"pools":{"default":
    {"born":1,"connections":{"10.0.1.4:5432":31,"10.0.1.6:5432":29}}}}"#;

/// Parses `json` as the answer of a sibling, complete or with the changes of one that is known. It is either refused or within the
/// limits.
pub fn siblings(json: &[u8]) {
    let known = Answer::parse(KNOWN).ok();
    for answer in [Answer::parse(json), Answer::parse_after(json, known.as_ref())].into_iter().flatten() {
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
