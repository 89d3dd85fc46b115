//! The name of the pod behind a backend.

use std::{fmt, sync::Arc};

/// Names the pod behind a backend: its namespace, its name, and its node where the source shows that.
///
/// Each name has the form that Kubernetes demands of it (at most 253 lowercase letters, digits, `-` and `.`), so that it can
/// be written anywhere.
///
/// ```
/// use ilb_discovery::PodRef;
///
/// let pod = PodRef::try_new("apps", "db-0")?.with_node("node-1");
/// assert_eq!((pod.namespace(), pod.name(), pod.node()), ("apps", "db-0", Some("node-1")));
/// assert!(PodRef::try_new("apps", "`id`").is_err());
/// # Ok::<(), ilb_discovery::errors::InvalidPodRef>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodRef {
    namespace: Arc<str>,
    name: Arc<str>,
    node: Option<Arc<str>>,
}

/// Maximum length of a name of an object, in characters.
const MAX_NAME_LENGTH: usize = 253;

impl PodRef {
    /// Names a pod whose node is not known.
    pub fn try_new(namespace: &str, name: &str) -> Result<Self, InvalidPodRef> {
        match [namespace, name].into_iter().find(|text| !is_object_name(text)) {
            Some(text) => Err(InvalidPodRef(text.chars().take(MAX_NAME_LENGTH).collect())),
            None => Ok(Self { namespace: namespace.into(), name: name.into(), node: None }),
        }
    }

    /// Adds the node that it runs on. A text that no node can have as its name is left out.
    #[must_use]
    pub fn with_node(self, node: &str) -> Self {
        Self { node: is_object_name(node).then(|| node.into()), ..self }
    }

    /// Returns its namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the node that it runs on, where the source shows that.
    pub fn node(&self) -> Option<&str> {
        self.node.as_deref()
    }
}

impl fmt::Display for PodRef {
    /// Writes the name alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name)
    }
}

/// Error of a text that cannot be the name of an object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the name of an object: expected 1 to 253 lowercase letters, digits, '-' and '.'")]
pub struct InvalidPodRef(String);

fn is_object_name(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    let is_outer = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let bytes = text.as_bytes();
    bytes.len() <= MAX_NAME_LENGTH && is_outer(bytes.first()) && is_outer(bytes.last()) && text.bytes().all(is_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_the_form_that_kubernetes_demands() {
        let longest = "a".repeat(253);
        for good in ["a", "db-0", "my-app-6d4cf56db6-x7zq2", "node-1.example.com", &longest] {
            assert!(PodRef::try_new("apps", good).is_ok(), "{good}");
        }
        let too_long = "a".repeat(254);
        for bad in ["", "-a", "a-", "a b", "A", "a\n", "a\"", "${a}", "é", &too_long] {
            assert!(PodRef::try_new("apps", bad).is_err(), "{bad}");
            assert!(PodRef::try_new(bad, "a").is_err(), "{bad}");
            assert_eq!(PodRef::try_new("apps", "a").unwrap().with_node(bad).node(), None, "{bad}");
        }
    }
}
