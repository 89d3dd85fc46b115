//! The status of this process, of its links, and of the sources of its pools.

use ilb_discovery::{Complaints, SourceInfo};
use serde::{Deserialize, Serialize};

use crate::settings::{BackendLink, InstanceSettings};

/// Place that this process runs in. What is not known is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct InstanceIdentity {
    pub(crate) pod: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) node: Option<String>,
    /// Release of the chart.
    pub(crate) release: Option<String>,
}

/// Link of each backend to another place, such as its logs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct BackendLinkStatus {
    pub(crate) name: String,
    /// URL with placeholders such as `{pod}`, to be filled in percent-encoded.
    pub(crate) url: String,
}

/// Source of a pool's backends.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct SourceStatus {
    /// `pods`, `service` or `file`.
    pub(crate) kind: String,
    /// The label selector, the name of the Service, or the path of the file.
    pub(crate) what: String,
    /// Namespaces that are searched; empty for all of them, and outside of a cluster.
    pub(crate) namespaces: Vec<String>,
    /// Port of the backends: its number or its name.
    pub(crate) port: Option<String>,
    /// The source in words.
    pub(crate) text: String,
}

/// Objects of a source with a mistake.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct ComplaintsStatus {
    /// Number of all of them.
    pub(crate) count: usize,
    pub(crate) listed: Vec<ComplaintStatus>,
}

/// Mistake in an object.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct ComplaintStatus {
    /// Name of the pod or of the EndpointSlice.
    pub(crate) object: String,
    pub(crate) text: String,
    /// True if the object gives no backend because of it.
    pub(crate) left_out: bool,
}

impl InstanceIdentity {
    /// Returns the known names as a sentence without its subject: `pod lb-0 in apps on node-1, release lb`.
    pub(crate) fn text(&self) -> String {
        let part = |before: &str, name: &Option<String>| name.as_ref().map(|name| format!("{before}{name}"));
        let place = [part("pod ", &self.pod), part("in ", &self.namespace), part("on ", &self.node)];
        let place = place.into_iter().flatten().collect::<Vec<_>>().join(" ");
        [Some(place), part("release ", &self.release)]
            .into_iter()
            .flatten()
            .filter(|text| !text.is_empty())
            .collect::<Vec<_>>()
            .join(", ")
    }
}

impl From<&InstanceSettings> for InstanceIdentity {
    fn from(settings: &InstanceSettings) -> Self {
        let InstanceSettings { pod, namespace, node, release, .. } = settings.clone();
        Self { pod, namespace, node, release }
    }
}

impl From<&BackendLink> for BackendLinkStatus {
    fn from(link: &BackendLink) -> Self {
        let BackendLink { name, url } = link.clone();
        Self { name, url }
    }
}

impl From<SourceInfo> for SourceStatus {
    fn from(info: SourceInfo) -> Self {
        let place = match (info.kind, info.namespaces.as_slice()) {
            (ilb_discovery::SourceKind::File, _) => String::new(),
            (_, []) => " in all namespaces".to_owned(),
            (_, [one]) => format!(" in namespace {one}"),
            (_, several) => format!(" in namespaces {}", several.join(", ")),
        };
        let port = info.port.as_ref().map(|port| format!(", port {port}")).unwrap_or_default();
        let text = format!("{} {}{place}{port}", info.kind.as_str(), info.what);
        Self {
            kind: info.kind.as_str().to_owned(),
            what: info.what,
            namespaces: info.namespaces,
            port: info.port,
            text,
        }
    }
}

impl From<Complaints> for ComplaintsStatus {
    fn from(complaints: Complaints) -> Self {
        let listed = complaints.listed.into_iter().map(|complaint| ComplaintStatus {
            object: complaint.object,
            text: complaint.text,
            left_out: complaint.is_left_out,
        });
        Self { count: complaints.count, listed: listed.collect() }
    }
}

#[cfg(test)]
mod tests {
    use ilb_discovery::SourceKind;

    use super::*;

    #[test]
    fn places_are_written_as_far_as_they_are_known() {
        let name = |text: &str| Some(text.to_owned());
        let full =
            InstanceIdentity { pod: name("lb-0"), namespace: name("apps"), node: name("n1"), release: name("lb") };
        assert_eq!(full.text(), "pod lb-0 in apps on n1, release lb");
        assert_eq!(InstanceIdentity { release: name("lb"), ..InstanceIdentity::default() }.text(), "release lb");
        assert_eq!(InstanceIdentity::default().text(), "");
    }

    #[test]
    fn a_source_is_written_with_its_namespaces_and_its_port() {
        let mut info = SourceInfo::new(SourceKind::Pods, "app=db");
        info.port = Some("5432".to_owned());
        assert_eq!(SourceStatus::from(info.clone()).text, "pods app=db in all namespaces, port 5432");
        info.namespaces = vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(SourceStatus::from(info).text, "pods app=db in namespaces a, b, port 5432");
        assert_eq!(SourceStatus::from(SourceInfo::new(SourceKind::File, "/b.yaml")).text, "file /b.yaml");
    }
}
