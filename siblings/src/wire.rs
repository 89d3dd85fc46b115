//! The text of an answer: its fields, and the limits within which it is believed.

use std::{
    collections::BTreeMap,
    fmt,
    marker::PhantomData,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use ilb_reconciler::siblings::{MAX_BACKENDS, ReplicaId, Report};
use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};

use crate::{
    limits::{MAX_COUNTS, MAX_POOLS, VERSION},
    own_reports::OwnReports,
    problem::Problem,
    question::Question,
};

/// Complete answer of one replica, of which only the changes may have been sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// Identity of the replica.
    pub replica: ReplicaId,
    /// Number of the answer: the same as before if no pool has been counted since.
    pub sample: u64,
    /// Time for which the replica has waited for this sample before it answered.
    pub held: Duration,
    /// Reports of the pools in which the replica takes part, by name.
    pub pools: BTreeMap<String, Report>,
}

impl Answer {
    /// Parses a complete answer. Whatever it contains, that takes memory in proportion to its length only.
    pub fn parse(json: &[u8]) -> Result<Self, Problem> {
        Self::parse_after(json, None)
    }

    /// Parses an answer to the question for what has changed since the answer `known`. Whatever it contains, the result is no
    /// larger than a complete answer can be.
    pub fn parse_after(json: &[u8], known: Option<&Self>) -> Result<Self, Problem> {
        let parsed = serde_json::from_slice::<Message>(json);
        // A later version may mean something else by the other fields.
        let version = match &parsed {
            Ok(message) => Some(message.v),
            Err(_) => serde_json::from_slice::<Version>(json).ok().map(|version| version.v),
        };
        match (version, parsed) {
            (Some(other), _) if other != VERSION => Err(Problem::OtherVersion(other)),
            (_, Ok(message)) => message.into_answer(known),
            (_, Err(error)) => Err(Problem::Unintelligible(error.to_string())),
        }
    }

    /// Returns the question for what has changed since.
    pub fn next_question(&self) -> Question {
        Question::for_changes(self.replica, self.sample)
    }

    /// Returns the number of counts in all pools.
    fn counts(&self) -> usize {
        self.pools.values().map(|report| report.connections.len()).sum()
    }
}

#[derive(Deserialize)]
struct Version {
    v: u64,
}

#[derive(Deserialize)]
struct Message {
    v: u64,
    replica: String,
    sample: u64,
    age_ms: u64,
    /// Time for which the answer was held back; versions that answer at once do not write it.
    #[serde(default)]
    held_ms: u64,
    /// Number of the answer since which some pools say only what has changed; `None` in a complete one.
    since: Option<u64>,
    pools: Limited<String, Pool, MAX_POOLS>,
}

#[derive(Deserialize)]
struct Pool {
    /// Number of the pool's own sample, if it differs from that of the answer.
    sample: Option<u64>,
    /// Time by which the pool's sample is older than the answer says.
    #[serde(default)]
    older_ms: u64,
    born: u64,
    /// Number of connections that the replica has closed on purpose; versions that close none do not write it.
    #[serde(default)]
    closed_on_purpose: u64,
    /// Connections of all backends that have some.
    connections: Option<Limited<SocketAddr, u32, MAX_BACKENDS>>,
    /// Instead of them those that differ from the answer before; 0 for a backend that has none any more.
    changes: Option<Limited<SocketAddr, u32, MAX_BACKENDS>>,
}

/// Connections by backend, which reports may share.
type Connections = Arc<BTreeMap<SocketAddr, u32>>;

impl Message {
    fn into_answer(self, known: Option<&Answer>) -> Result<Answer, Problem> {
        let replica: ReplicaId = self.replica.parse().map_err(|error| Problem::Unintelligible(format!("{error}")))?;
        let known = known.filter(|known| known.replica == replica && self.since == Some(known.sample));
        let mut pools = BTreeMap::new();
        for (name, mut pool) in self.pools.entries {
            let age = Duration::from_millis(self.age_ms.saturating_add(pool.older_ms));
            let before = known.and_then(|known| known.pools.get(&name));
            let connections = pool.take_connections(before.map(|report| &report.connections))?;
            let report = Report::new(replica, pool.sample.unwrap_or(self.sample), age, pool.born, [])
                .with_connections(connections)
                .with_closed_on_purpose(pool.closed_on_purpose);
            pools.insert(name, report);
        }
        let answer = Answer { replica, sample: self.sample, held: Duration::from_millis(self.held_ms), pools };
        if answer.counts() > MAX_COUNTS {
            return Err(Problem::Unintelligible(format!("it has more than {MAX_COUNTS} counts")));
        }
        Ok(answer)
    }
}

impl Pool {
    /// Takes the connections out. `before` are those of the answer that is known.
    fn take_connections(&mut self, before: Option<&Connections>) -> Result<Connections, Problem> {
        let unintelligible = |cause: &str| Problem::Unintelligible(cause.to_owned());
        let changes = match (self.connections.take(), self.changes.take()) {
            (Some(all), None) => return Ok(Arc::new(all.entries)),
            (None, Some(changes)) => changes.entries,
            _ => return Err(unintelligible("a pool has neither `connections` nor `changes`, or both")),
        };
        let before = before.ok_or_else(|| unintelligible("it has the changes since an answer that is not known"))?;
        if changes.is_empty() {
            return Ok(Arc::clone(before));
        }
        let mut connections = BTreeMap::clone(before);
        for (backend, count) in changes {
            if count == 0 {
                connections.remove(&backend)
            } else {
                connections.insert(backend, count)
            };
        }
        if connections.len() > MAX_BACKENDS {
            return Err(unintelligible("it has more backends than a complete answer may have"));
        }
        Ok(Arc::new(connections))
    }
}

/// A map that has at most `MAX` entries.
struct Limited<K, V, const MAX: usize> {
    entries: BTreeMap<K, V>,
}

impl<'de, K: Deserialize<'de> + Ord, V: Deserialize<'de>, const MAX: usize> Deserialize<'de> for Limited<K, V, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries::<K, V, MAX>(PhantomData))
    }
}

struct Entries<K, V, const MAX: usize>(PhantomData<(K, V)>);

impl<'de, K: Deserialize<'de> + Ord, V: Deserialize<'de>, const MAX: usize> Visitor<'de> for Entries<K, V, MAX> {
    type Value = Limited<K, V, MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with at most {MAX} entries")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = BTreeMap::new();
        while let Some((key, value)) = map.next_entry()? {
            if entries.len() == MAX {
                return Err(A::Error::custom(format_args!("more than {MAX} entries")));
            }
            entries.insert(key, value);
        }
        Ok(Limited { entries })
    }
}

impl OwnReports {
    /// Returns the end of the answer to this question, which is the same until [`sample`](Self::sample) changes.
    pub fn tail(&self, question: &Question) -> Result<String, serde_json::Error> {
        use fmt::Write as _;

        let since = self.known_by(question);
        let mut text = String::new();
        if let Some(since) = since {
            // Writing to a text never fails.
            let _ = write!(text, r#","since":{since}"#);
        }
        text.push_str(r#","pools":{"#);
        for (number, (name, pool)) in self.pools().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            let older = self.counted_at().saturating_duration_since(pool.counted_at).as_millis();
            let name = serde_json::to_string(name)?;
            let (sample, opened) = (pool.sample, pool.opened);
            let _ = write!(text, r#"{comma}{name}:{{"sample":{sample},"older_ms":{older},"born":{opened},"#);
            if pool.closed_on_purpose > 0 {
                let _ = write!(text, r#""closed_on_purpose":{},"#, pool.closed_on_purpose);
            }
            match since.and_then(|since| pool.changes(since)) {
                Some(changes) => write_counts(&mut text, "changes", changes),
                None => write_counts(&mut text, "connections", pool.connections()),
            }
            text.push('}');
        }
        text.push_str("}}");
        Ok(text)
    }

    /// Returns the number of the answer that the asking replica knows, if it is one of this replica.
    fn known_by(&self, question: &Question) -> Option<u64> {
        let known = question.known.filter(|known| known.replica == self.replica() && known.sample <= self.sample())?;
        Some(known.sample)
    }

    /// Returns `true` if there is something to say to who asks this: all, or a later sample.
    pub fn has_news_for(&self, question: &Question) -> bool {
        self.known_by(question) != Some(self.sample())
    }

    /// Returns the answer at `now`, after it was `held` for that time. `tail` is what [`tail`](Self::tail) has returned for
    /// the same sample and question, so that only the times are written for each reader.
    pub fn answer(&self, tail: &str, held: Duration, now: Instant) -> String {
        let age = now.saturating_duration_since(self.counted_at()).as_millis();
        let (replica, sample, held) = (self.replica(), self.sample(), held.as_millis());
        let held = if held > 0 { format!(r#","held_ms":{held}"#) } else { String::new() };
        format!(r#"{{"v":{VERSION},"replica":"{replica}","sample":{sample},"age_ms":{age}{held}{tail}"#)
    }
}

/// Writes a field with the connections by backend.
fn write_counts(text: &mut String, field: &str, counts: impl Iterator<Item = (SocketAddr, u32)>) {
    use fmt::Write as _;

    let _ = write!(text, r#""{field}":{{"#);
    for (number, (backend, connections)) in counts.enumerate() {
        let comma = if number == 0 { "" } else { "," };
        let _ = write!(text, r#"{comma}"{backend}":{connections}"#);
    }
    text.push('}');
}

#[cfg(test)]
mod tests;
