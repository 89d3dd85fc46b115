//! Objects as they were received: an object that cannot be decoded never takes others with it.

use kube::api::WatchEvent;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use super::{
    object::{Meta, Object},
    rules::{Findings, Rules, quoted},
};

/// Object of a response.
#[derive(Debug)]
pub(super) enum Decoded<K> {
    /// An object whose fields could all be read.
    Object(K),
    /// An object with a field that cannot be read. It has no backends, and a complaint names it.
    Unusable { meta: Meta, problem: String },
}

impl<K> From<K> for Decoded<K> {
    fn from(object: K) -> Self {
        Self::Object(object)
    }
}

impl<K: Object> Decoded<K> {
    pub(super) fn meta(&self) -> &Meta {
        match self {
            Self::Object(object) => object.meta(),
            Self::Unusable { meta, .. } => meta,
        }
    }

    /// Returns `true` unless the object is known to live on when it is reported as deleted.
    pub(super) fn is_being_deleted(&self) -> bool {
        match self {
            Self::Object(object) => object.is_being_deleted(),
            Self::Unusable { .. } => true,
        }
    }

    /// Returns the backends that the object describes.
    pub(super) fn backends(&self, rules: &Rules) -> Findings {
        match self {
            Self::Object(object) => object.backends(rules),
            Self::Unusable { problem, .. } => {
                let mut findings = Findings::default();
                findings.complain(format!("left out: {problem}"));
                findings
            }
        }
    }

    fn from_json(json: &str) -> Self {
        // From bytes, as the whole page or event, so that there is one decoder of each kind of object.
        match serde_json::from_slice(json.as_bytes()) {
            Ok(object) => Self::Object(object),
            Err(error) => Self::Unusable { meta: readable_meta(json), problem: problem(json, &error) },
        }
    }
}

/// Page of a list, as the API server sends it.
#[derive(Deserialize)]
#[serde(bound = "K: Deserialize<'de>")]
pub(super) struct PageBody<K> {
    #[serde(default)]
    pub(super) metadata: PageMeta,
    #[serde(default)]
    pub(super) items: Option<Vec<K>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PageMeta {
    pub(super) resource_version: Option<String>,
    pub(super) r#continue: Option<String>,
}

/// Decodes a page: at once, or, if an object prevents that, object by object.
pub(super) fn page<K: Object>(json: &[u8]) -> serde_json::Result<PageBody<Decoded<K>>> {
    let error = match serde_json::from_slice::<PageBody<K>>(json) {
        Ok(PageBody { metadata, items }) => {
            let items = items.map(|objects| objects.into_iter().map(Decoded::Object).collect());
            return Ok(PageBody { metadata, items });
        }
        Err(error) => error,
    };
    let Ok(PageBody::<&RawValue> { metadata, items }) = serde_json::from_slice(json) else { return Err(error) };
    let items = items.map(|objects| objects.into_iter().map(|object| Decoded::from_json(object.get())).collect());
    Ok(PageBody { metadata, items })
}

/// Decodes an event of a watch. An object that cannot be decoded, but identified, is [`Decoded::Unusable`].
pub(super) fn event<K: Object>(json: &[u8]) -> serde_json::Result<WatchEvent<Decoded<K>>> {
    let error = match serde_json::from_slice::<WatchEvent<K>>(json) {
        Ok(WatchEvent::Added(object)) => return Ok(WatchEvent::Added(object.into())),
        Ok(WatchEvent::Modified(object)) => return Ok(WatchEvent::Modified(object.into())),
        Ok(WatchEvent::Deleted(object)) => return Ok(WatchEvent::Deleted(object.into())),
        Ok(WatchEvent::Bookmark(bookmark)) => return Ok(WatchEvent::Bookmark(bookmark)),
        Ok(WatchEvent::Error(status)) => return Ok(WatchEvent::Error(status)),
        Err(error) => error,
    };
    let Ok(EventBody { r#type, object }) = serde_json::from_slice(json) else { return Err(error) };
    let object = Decoded::from_json(object.get());
    if object.meta().uid.is_none() {
        // Which of the known objects it is cannot be told: only a new list shows.
        return Err(error);
    }
    Ok(match r#type {
        EventType::Added => WatchEvent::Added(object),
        EventType::Modified => WatchEvent::Modified(object),
        EventType::Deleted => WatchEvent::Deleted(object),
    })
}

#[derive(Deserialize)]
struct EventBody<'a> {
    r#type: EventType,
    #[serde(borrow)]
    object: &'a RawValue,
}

/// Type of the events that are about one object.
#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum EventType {
    Added,
    Modified,
    Deleted,
}

/// Describes an error with the name of the field before its place, and without any value around it, which may be a secret.
fn problem(json: &str, error: &serde_json::Error) -> String {
    let message: String = error.to_string().chars().take(150).collect();
    let line = json.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
    match line.get(..error.column()).and_then(last_key) {
        Some(key) => format!("{message}, near {}", quoted(key)),
        None => message,
    }
}

/// Returns the last key of an object in `json`, which need not be complete.
fn last_key(json: &str) -> Option<&str> {
    let (before, _) = json.rsplit_once("\":")?;
    before.rsplit_once('"').map(|(_, key)| key).filter(|key| !key.ends_with('\\'))
}

/// Returns what can be read of the metadata of an object.
fn readable_meta(json: &str) -> Meta {
    let parts: Lenient<Parts> = serde_json::from_str(json).unwrap_or_default();
    let parts = parts.known().and_then(|parts| parts.metadata.known()).unwrap_or_default();
    let MetaParts { namespace, name, uid, resource_version } = parts;
    Meta {
        namespace: namespace.known(),
        name: name.known(),
        uid: uid.known(),
        resource_version: resource_version.known(),
    }
}

/// Value of the expected type, or any other.
#[derive(Deserialize)]
#[serde(untagged)]
enum Lenient<T> {
    Known(T),
    Unknown(IgnoredAny),
}

impl<T> Lenient<T> {
    fn known(self) -> Option<T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown(_) => None,
        }
    }
}

impl<T> Default for Lenient<T> {
    fn default() -> Self {
        Self::Unknown(IgnoredAny)
    }
}

#[derive(Default, Deserialize)]
#[serde(default, bound = "")]
struct Parts {
    metadata: Lenient<MetaParts>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct MetaParts {
    namespace: Lenient<String>,
    name: Lenient<String>,
    uid: Lenient<String>,
    resource_version: Lenient<String>,
}

/// Decodes a page whose objects do not matter.
pub(super) fn page_without_objects(json: &[u8]) -> serde_json::Result<PageBody<IgnoredAny>> {
    serde_json::from_slice(json)
}

#[cfg(test)]
mod tests;
