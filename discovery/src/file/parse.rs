//! The format of a file of backends.

use std::{collections::HashMap, error::Error as StdError, fmt, net::SocketAddr};

use serde::Deserialize;
use serde_saphyr::Spanned;

use crate::{AddressPolicy, Backend, BackendSet, Capacity, Cause, State, Zone, own_addresses::OwnAddresses};

/// Mistake in a text, with its line, counted from 1; 0 if no line can be named.
#[derive(Debug)]
pub(super) struct Mistake {
    pub(super) line: u64,
    pub(super) cause: Cause,
}

/// Error of a text that is not YAML, or not a list of backends.
#[derive(Debug)]
struct InvalidYaml(serde_saphyr::Error);

impl fmt::Display for InvalidYaml {
    /// Prints only the problem: the library also names its place, which the [`Mistake`] does already.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        let problem = text.lines().next().unwrap_or_default();
        f.write_str(problem.rsplit_once(" at line ").map_or(problem, |(problem, _)| problem))
    }
}

impl StdError for InvalidYaml {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}

impl From<serde_saphyr::Error> for Mistake {
    fn from(error: serde_saphyr::Error) -> Self {
        let line = error.location().map_or(0, |at| at.line());
        Self { line, cause: Cause::new(InvalidYaml(error)) }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileEntry {
    address: Spanned<String>,
    #[serde(default)]
    state: FileState,
    capacity: Option<Spanned<u8>>,
    zone: Option<Spanned<String>>,
    #[serde(rename = "maxConnections")]
    max_connections: Option<Spanned<u32>>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum FileState {
    #[default]
    Ready,
    Draining,
    #[serde(rename = "not ready")]
    NotReady,
}

/// Returns the backends that `text` lists, in YAML or in JSON, which is YAML too.
pub(super) fn backends(text: &str, policy: &AddressPolicy, own: &OwnAddresses) -> Result<BackendSet, Mistake> {
    if text.trim().is_empty() {
        let cause = Cause::new("the file is empty: an empty list of backends is written as []");
        return Err(Mistake { line: 0, cause });
    }
    let options = serde_saphyr::options! { with_snippet: false };
    let entries: Vec<FileEntry> = serde_saphyr::from_str_with_options(text, options).map_err(Mistake::from)?;
    let mut lines: HashMap<SocketAddr, u64> = HashMap::new();
    let mut backends = Vec::with_capacity(entries.len());
    for entry in entries {
        let line = entry.address.referenced.line();
        let backend = entry.backend(policy, own)?;
        if let Some(first) = lines.insert(backend.address(), line) {
            let cause = Cause::new(format!("{} is in line {first} already", backend.address()));
            return Err(Mistake { line, cause });
        }
        backends.push(backend);
    }
    Ok(backends.into_iter().collect())
}

impl FileEntry {
    fn backend(self, policy: &AddressPolicy, own: &OwnAddresses) -> Result<Backend, Mistake> {
        let text = &self.address.value;
        let address: SocketAddr = text
            .parse()
            .map_err(|_| mistake(&self.address, format!("'{text}' is not an address such as 10.0.0.1:5432")))?;
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        policy
            .check(address)
            .and_then(|()| policy.check_own(address, own))
            .map_err(|error| mistake(&self.address, error))?;
        let state = match self.state {
            FileState::Ready => State::Ready,
            FileState::Draining => State::Draining,
            FileState::NotReady => State::NotReady,
        };
        let capacity = self.capacity.map_or(Ok(Capacity::default()), |shares| {
            Capacity::try_from(shares.value).map_err(|error| mistake(&shares, error))
        })?;
        let zone = self.zone.map(|zone| zone.value.parse::<Zone>().map_err(|error| mistake(&zone, error)));
        let max_connections = self.max_connections.map(|number| match number.value {
            0 => Err(mistake(&number, "0 is not a number of connections: it must be 1 or more")),
            connections => Ok(connections),
        });
        let backend = Backend::new(address, state).with_capacity(capacity).with_zone(zone.transpose()?);
        Ok(backend.with_max_connections(max_connections.transpose()?))
    }
}

fn mistake<T>(place: &Spanned<T>, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Mistake {
    Mistake { line: place.referenced.line(), cause: Cause::new(cause) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::errors::{InvalidAddress, InvalidCapacity, InvalidZone};

    fn parse(text: &str) -> Result<BackendSet, Mistake> {
        backends(text, &AddressPolicy::default(), &OwnAddresses::fixed(["10.0.0.77".parse().unwrap()]))
    }

    #[rstest]
    #[case::yaml(
        "# ours\n- address: 10.0.0.1:5432\n- address: '[fd00::2]:5432'\n  capacity: 2\n  state: not ready\n  zone: a\n  maxConnections: 90\n"
    )]
    #[case::json(
        "[\n\t{\"address\": \"10.0.0.1:5432\"},\n\t{\"address\": \"[fd00::2]:5432\", \"capacity\": 2,\n\t\"state\": \"not ready\", \"zone\": \"a\", \"maxConnections\": 90}\n]"
    )]
    fn a_list_is_read_in_yaml_and_in_json(#[case] text: &str) {
        let second = Backend::new("[fd00::2]:5432".parse().unwrap(), State::NotReady)
            .with_capacity(Capacity::try_from(2u8).unwrap())
            .with_zone(Some("a".parse().unwrap()))
            .with_max_connections(Some(90));
        let first = Backend::new("10.0.0.1:5432".parse().unwrap(), State::Ready);
        assert_eq!(parse(text).unwrap(), [first, second].into_iter().collect());
    }

    #[test]
    fn no_backends_are_a_set_and_an_empty_file_is_not() {
        assert!(parse("[]").unwrap().is_empty());
        assert_eq!(parse(" \n").unwrap_err().line, 0);
    }

    #[rstest]
    #[case("- address: 10.0.0.1:1\n- adress: 10.0.0.2:1\n", 2, "adress")]
    #[case("- address: 10.0.0.1:1\n- address: 10.0.0.256:1\n", 2, "'10.0.0.256:1' is not an address")]
    #[case("- address: 10.0.0.1:1\n- address: db.example:1\n", 2, "'db.example:1' is not an address")]
    #[case("- address: 127.0.0.1:1\n", 1, "127.0.0.1:1: a loopback address cannot be a backend")]
    #[case("- address: 10.0.0.77:1\n", 1, "10.0.0.77:1: an address of this network namespace cannot be a backend")]
    #[case(
        "- address: 10.0.0.1:1\n- address: 10.0.0.2:1\n- address: 10.0.0.1:1\n",
        3,
        "10.0.0.1:1 is in line 1 already"
    )]
    #[case("- address: 10.0.0.1:1\n- address: '[::ffff:10.0.0.1]:1'\n", 2, "10.0.0.1:1 is in line 1 already")]
    #[case("- address: 10.0.0.1:1\n  capacity: 17\n", 2, "17 is not a capacity: it must be 1 to 16")]
    #[case("- address: 10.0.0.1:1\n  capacity: many\n", 2, "invalid u8")]
    #[case("- address: 10.0.0.1:1\n  zone: a b\n", 2, "a zone has the form of a label value")]
    #[case("- address: 10.0.0.1:1\n  state: gone\n", 2, "gone")]
    #[case("- address: 10.0.0.1:1\n- {\n", 2, "unclosed bracket '{'")]
    #[case("[\n{\"address\": \"10.0.0.1:1\"},\n{\"address\": 7 7}\n]", 3, "")]
    fn a_mistake_is_reported_with_its_line(#[case] text: &str, #[case] line: u64, #[case] problem: &str) {
        let mistake = parse(text).unwrap_err();
        assert!(mistake.line == line && mistake.cause.to_string().contains(problem), "{mistake:?}");
    }

    #[test]
    fn the_original_error_is_the_cause_and_names_no_place() {
        let cause = |entry: &str| parse(&format!("- address: {entry}\n")).unwrap_err().cause;
        assert!(cause("127.0.0.1:1").is::<InvalidAddress>());
        assert!(cause("10.0.0.1:1\n  capacity: 17").is::<InvalidCapacity>());
        assert!(cause("10.0.0.1:1\n  zone: a b").is::<InvalidZone>());
        let yaml = cause("10.0.0.1:1\n  capacity: many");
        assert!(yaml.is::<InvalidYaml>() && !yaml.to_string().contains("line"), "{yaml}");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(- |address: |\\[|\\]|\\{|\\}|\"|10\\.0\\.0\\.[0-9]:1|\n|  |&a|\\*a|,|:){0,20}|\\PC{0,40}") {
            let _ = parse(&text);
        }
    }
}
