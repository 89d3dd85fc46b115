//! The origin of a value.

use std::{fmt, path::PathBuf};

use serde::{Serialize, Serializer};

/// Source that a value was taken from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A line of the file of settings, counted from 1.
    File { path: PathBuf, line: u64 },
    /// The environment variable of this name.
    Variable(&'static str),
    /// The flag of this name, which is kept without its dashes.
    Flag(String),
    /// The setting's own default.
    Default,
}

impl Origin {
    /// Names the setting at `path` as its author knows it: by the variable or the flag, or by its place in the file.
    pub(super) fn name(&self, path: &str) -> String {
        match self {
            Self::File { .. } => format!("{self}: {path}"),
            Self::Variable(_) | Self::Flag(_) => self.to_string(),
            Self::Default => path.to_owned(),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(name) => write!(f, "--{name}"),
            Self::Default => f.write_str("default"),
        }
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_a_file_is_named_with_its_path_and_a_variable_alone() {
        let file = Origin::File { path: "/etc/ilb.yaml".into(), line: 7 };
        assert_eq!(file.name("log.level"), "/etc/ilb.yaml:7: log.level");
        assert_eq!(Origin::Variable("LOG_LEVEL").name("log.level"), "LOG_LEVEL");
        assert_eq!(Origin::Flag("log-level".into()).name("log.level"), "--log-level");
        assert_eq!(Origin::Default.name("log.level"), "log.level");
    }
}
