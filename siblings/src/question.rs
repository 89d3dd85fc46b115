//! The question of one replica to another.

use std::{fmt, time::Duration};

use ilb_reconciler::siblings::ReplicaId;

use crate::limits::{MAX_WAIT, PATH};

/// Question for the reports of a replica, as the query of the request.
///
/// A replica of a version that knows no queries answers at once, and completely.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Question {
    /// The answer that is known; only what has changed since is asked for. `None` to ask for everything.
    pub known: Option<Known>,
    /// Maximum time to wait for a later sample than the known one, at most [`MAX_WAIT`].
    pub wait: Duration,
}

/// An answer that was given before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Known {
    /// Identity of the replica that gave it.
    pub replica: ReplicaId,
    /// Number of the answer.
    pub sample: u64,
}

impl Question {
    /// Creates the question for everything, which is answered at once.
    pub fn for_everything() -> Self {
        Self::default()
    }

    /// Creates the question for what has changed since an answer of `replica` with this number, as soon as it counts again.
    pub fn for_changes(replica: ReplicaId, sample: u64) -> Self {
        Self { known: Some(Known { replica, sample }), wait: MAX_WAIT }
    }

    /// Parses the query of a request. What is not understood is ignored, so that the answer is a complete one.
    pub fn parse(query: &str) -> Self {
        let value = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find_map(|(known, value)| (known == name).then_some(value))
        };
        let number = |name: &str| value(name)?.parse::<u64>().ok();
        let known = || Some(Known { replica: value(REPLICA)?.parse().ok()?, sample: number(SINCE)? });
        let wait = Duration::from_millis(number(WAIT).unwrap_or(0)).min(MAX_WAIT);
        Self { known: known(), wait }
    }
}

const REPLICA: &str = "replica";
const SINCE: &str = "since";
const WAIT: &str = "wait_ms";

/// Writes the path of the request with its query.
impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Known { replica, sample }) = self.known else { return f.write_str(PATH) };
        let wait = self.wait.as_millis();
        write!(f, "{PATH}?{REPLICA}={replica}&{SINCE}={sample}&{WAIT}={wait}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REPLICA: ReplicaId = ReplicaId::new(7);

    fn query(question: &Question) -> String {
        question.to_string().split_once('?').map(|(_, query)| query.to_owned()).unwrap_or_default()
    }

    #[test]
    fn a_question_is_parsed_as_it_was_written() {
        assert_eq!(Question::for_everything().to_string(), "/siblings");
        let question = Question::for_changes(REPLICA, 4711);
        assert_eq!(
            question.to_string(),
            "/siblings?replica=00000000-0000-0000-0000-000000000007&since=4711&wait_ms=1500"
        );
        for question in [question, Question::for_everything()] {
            assert_eq!(Question::parse(&query(&question)), question);
        }
    }

    #[test]
    fn what_is_not_understood_asks_for_everything_at_once() {
        for query in
            ["", "since=7", "replica=me&since=7", "replica=00000000-0000-0000-0000-000000000007&since=-1", "&&=", "%"]
        {
            assert_eq!(Question::parse(query), Question::for_everything(), "{query}");
        }
        assert_eq!(Question::parse("wait_ms=99999999&x=1").wait, MAX_WAIT, "nobody waits for longer");
    }

    proptest! {
        #[test]
        fn any_query_is_parsed(query in ".{0,80}") {
            let question = Question::parse(&query);
            prop_assert!(question.wait <= MAX_WAIT);
        }
    }
}
