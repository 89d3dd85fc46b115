//! Where a source looks for backends, and what it left out there.

/// Describes where a source looks for backends, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceInfo {
    /// Kind of the source.
    pub kind: SourceKind,
    /// The label selector, the name of the Service, or the path of the file.
    pub what: String,
    /// Namespaces that are searched; empty for all of them, and for a source outside of a cluster.
    pub namespaces: Vec<String>,
    /// Port of the backends: its number or its name; `None` if each backend has its own.
    pub port: Option<String>,
}

/// Kind of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SourceKind {
    /// Pods that match a label selector.
    Pods,
    /// Endpoints of a Service.
    Service,
    /// Entries of a file.
    File,
}

/// Objects with a mistake that their owner should know of, as of now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Complaints {
    /// Number of all of them.
    pub count: usize,
    /// The first of them, by name.
    pub listed: Vec<Complaint>,
}

/// Complaint about an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Complaint {
    /// Name of the object: of a pod or of an EndpointSlice.
    pub object: String,
    /// The mistake, as a sentence without its subject.
    pub text: String,
    /// True if the object gave no backend because of it.
    pub is_left_out: bool,
}

impl SourceInfo {
    /// Describes a source outside of a cluster.
    pub fn new(kind: SourceKind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), namespaces: Vec::new(), port: None }
    }
}

impl SourceKind {
    /// Returns the name used in documents and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pods => "pods",
            Self::Service => "service",
            Self::File => "file",
        }
    }
}

impl Complaint {
    /// Creates a complaint about an object.
    pub fn new(object: impl Into<String>, text: impl Into<String>, is_left_out: bool) -> Self {
        Self { object: object.into(), text: text.into(), is_left_out }
    }
}
