//! The source of the backends of a pool.

use std::{fmt, path::PathBuf};

use ilb_discovery::Selector;

/// Source of the backends of a pool.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Backends {
    /// The pods with these labels.
    Pods(Selector),
    /// The endpoints of the Service of this name.
    Service(String),
    /// The backends that this file lists.
    File(PathBuf),
}

impl fmt::Display for Backends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pods(selector) => write!(f, "pods {}", selector.as_str()),
            Self::Service(name) => write!(f, "service {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
        }
    }
}
