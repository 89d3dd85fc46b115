//! The text of an answer: its fields, and the limits within which it is believed.

use std::{
    collections::BTreeMap,
    fmt,
    marker::PhantomData,
    net::SocketAddr,
    time::{Duration, Instant},
};

use ilb_reconciler::siblings::{MAX_BACKENDS, ReplicaId, Report};
use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};

use crate::{
    limits::{MAX_POOLS, VERSION},
    own_reports::OwnReports,
    problem::Problem,
};

/// Answer of one replica.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// Identity of the replica.
    pub replica: ReplicaId,
    /// Number of the answer: the same as before if no pool has been counted since.
    pub sample: u64,
    /// Reports of the pools in which the replica takes part, by name.
    pub pools: BTreeMap<String, Report>,
}

impl Answer {
    /// Parses an answer. Whatever it contains, that takes memory in proportion to its length only.
    pub fn parse(json: &[u8]) -> Result<Self, Problem> {
        let parsed = serde_json::from_slice::<Message>(json);
        // A later version may mean something else by the other fields.
        let version = match &parsed {
            Ok(message) => Some(message.v),
            Err(_) => serde_json::from_slice::<Version>(json).ok().map(|version| version.v),
        };
        match (version, parsed) {
            (Some(other), _) if other != VERSION => Err(Problem::OtherVersion(other)),
            (_, Ok(message)) => message.into_answer(),
            (_, Err(error)) => Err(Problem::Unintelligible(error.to_string())),
        }
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
    connections: Limited<SocketAddr, u32, MAX_BACKENDS>,
}

impl Message {
    fn into_answer(self) -> Result<Answer, Problem> {
        let replica: ReplicaId = self.replica.parse().map_err(|error| Problem::Unintelligible(format!("{error}")))?;
        let (sample, age_ms) = (self.sample, self.age_ms);
        let report = |(name, pool): (String, Pool)| {
            let age = Duration::from_millis(age_ms.saturating_add(pool.older_ms));
            let connections = pool.connections.entries;
            (name, Report::new(replica, pool.sample.unwrap_or(sample), age, pool.born, connections))
        };
        Ok(Answer { replica, sample, pools: self.pools.entries.into_iter().map(report).collect() })
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
    /// Returns the end of the answer, which is the same until [`sample`](Self::sample) changes.
    pub fn tail(&self) -> Result<String, serde_json::Error> {
        use fmt::Write as _;

        let mut text = String::from(r#","pools":{"#);
        for (number, (name, pool)) in self.pools().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            let older = self.counted_at().saturating_duration_since(pool.counted_at).as_millis();
            let name = serde_json::to_string(name)?;
            let (sample, opened) = (pool.sample, pool.opened);
            // Writing to a text never fails.
            let _ = write!(
                text,
                r#"{comma}{name}:{{"sample":{sample},"older_ms":{older},"born":{opened},"connections":{{"#
            );
            for (number, (backend, connections)) in pool.connections.iter().enumerate() {
                let comma = if number == 0 { "" } else { "," };
                let _ = write!(text, r#"{comma}"{backend}":{connections}"#);
            }
            text.push_str("}}");
        }
        text.push_str("}}");
        Ok(text)
    }

    /// Returns the answer at `now`. `tail` is what [`tail`](Self::tail) has returned for the same sample, so that only the
    /// age is written for each reader.
    pub fn answer(&self, tail: &str, now: Instant) -> String {
        let age = now.saturating_duration_since(self.counted_at()).as_millis();
        let (replica, sample) = (self.replica(), self.sample());
        format!(r#"{{"v":{VERSION},"replica":"{replica}","sample":{sample},"age_ms":{age}{tail}"#)
    }
}

#[cfg(test)]
mod tests;
