//! The values that one source gives: the variables or the flags here, the file in `file_layer`.

use std::{collections::BTreeMap, net::SocketAddr};

use config::{ConfigError, Map, Source, Value, ValueKind};

use super::{
    definitions::{FILE_VARIABLE, KEYS},
    origin::Origin,
    problems::Problems,
    setting::{Key, Shape},
};

/// Values of one source by their path, such as `pools[0].selector`.
#[derive(Clone, Debug, Default)]
pub(super) struct Layer {
    values: Map<String, Value>,
    /// Origins by their text. The config crate keeps only that text with each value.
    pub(super) origins: BTreeMap<String, Origin>,
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.values.clone())
    }
}

impl Layer {
    /// Takes the settings from `variables`; the file describes `pools` pools.
    pub(super) fn from_variables(variables: &[(String, String)], pools: usize, problems: &mut Problems) -> Self {
        let mut layer = Self::default();
        let value_of = |name: &str| {
            let named = variables.iter().find(|(other, _)| other == name);
            named.map(|(_, value)| value.trim()).filter(|value| !value.is_empty() && !is_service_link(name, value))
        };
        for key in KEYS {
            let mut given = key.variables.iter().filter_map(|name| Some((*name, value_of(name)?)));
            let Some((name, value)) = given.next() else { continue };
            if let Some((other, _)) = given.next() {
                problems.push(format!("{name} and {other} are the same setting: remove one of them"));
            }
            layer.set_text(key, &Origin::Variable(name), value, pools, problems);
        }
        let mut unknown: Vec<_> = variables.iter().filter(|(name, value)| is_unknown(name, value)).collect();
        unknown.sort();
        for (name, _) in unknown {
            problems.push(format!("{name} is not a setting: use one of {}, or remove it", own_variables()));
        }
        layer
    }

    /// Takes the settings from `flags`; the file describes `pools` pools.
    pub(super) fn from_flags(flags: &[(String, String)], pools: usize, problems: &mut Problems) -> Self {
        let mut layer = Self::default();
        for key in KEYS {
            if let Some((flag, value)) = flags.iter().find(|(flag, _)| *flag == key.flag()) {
                layer.set_text(key, &Origin::Flag(flag.clone()), value.trim(), pools, problems);
            }
        }
        layer
    }

    /// Sets the value at `path`.
    pub(super) fn set(&mut self, path: String, origin: &Origin, kind: impl Into<ValueKind>) {
        let value = self.value(origin, kind);
        self.values.insert(path, value);
    }

    /// Sets the list at `path`.
    pub(super) fn set_list(
        &mut self,
        path: String,
        origin: &Origin,
        items: impl IntoIterator<Item = (Origin, String)>,
    ) {
        let items: Vec<_> = items.into_iter().map(|(origin, text)| self.value(&origin, text)).collect();
        self.set(path, origin, items);
    }

    fn value(&mut self, origin: &Origin, kind: impl Into<ValueKind>) -> Value {
        let name = origin.to_string();
        let value = Value::new(Some(&name), kind);
        self.origins.insert(name, origin.clone());
        value
    }

    /// Sets `key` to the text of a variable or flag, unless the file has several pools and `key` is that of a pool.
    fn set_text(&mut self, key: &Key, origin: &Origin, text: &str, pools: usize, problems: &mut Problems) {
        if key.is_of_pool() && pools > 1 {
            problems.push(format!(
                "{origin} describes the only pool, and the file has {pools}: set {} in the file instead",
                key.path
            ));
            return;
        }
        let path = key.path_in_pool(0);
        match key.shape {
            Shape::Single => self.set(path, origin, text),
            Shape::List | Shape::NamedList => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                self.set_list(path, origin, items.map(|item| (origin.clone(), item.to_owned())));
            }
        }
    }
}

/// Returns whether a variable looks like one of ilb's and is none.
fn is_unknown(name: &str, value: &str) -> bool {
    let Some(rest) = name.strip_prefix("ILB_") else { return false };
    if name == FILE_VARIABLE || KEYS.iter().any(|key| key.variables.contains(&name)) {
        return false;
    }
    // A Service named `ilb`, or `ilb-metrics`, makes the kubelet set ILB_SERVICE_HOST, ILB_METRICS_PORT_9090_TCP and so on.
    let of_service = ["SERVICE_HOST", "SERVICE_PORT"].iter().any(|part| rest.contains(part));
    let of_port = rest == "PORT" || rest.starts_with("PORT_") || rest.contains("_PORT_");
    !(of_service || of_port || is_service_link(name, value))
}

/// Returns whether a variable is the one with the address of a Service, such as `BACKEND_PORT=tcp://10.0.0.1:80` for a
/// Service named `backend`. The kubelet sets it in each pod with `enableServiceLinks`, which is the default.
fn is_service_link(name: &str, value: &str) -> bool {
    let address = ["tcp://", "udp://", "sctp://"].iter().find_map(|scheme| value.trim().strip_prefix(scheme));
    name.ends_with("_PORT") && address.is_some_and(|address| address.parse::<SocketAddr>().is_ok())
}

/// Describes each variable that has the name of a setting and is a Service's.
pub(super) fn service_links(variables: &[(String, String)]) -> Vec<String> {
    let is_setting = |name: &str| KEYS.iter().any(|key| key.variables.contains(&name));
    let links = variables.iter().filter(|(name, value)| is_setting(name) && is_service_link(name, value));
    let describe = |(name, value): &(String, String)| {
        format!(
            "{name}={value} is the address of a Service, which Kubernetes sets, and no setting: it is ignored, and \
             enableServiceLinks: false in the pod removes it"
        )
    };
    links.map(describe).collect()
}

fn own_variables() -> String {
    let own: Vec<_> = KEYS.iter().filter_map(|key| key.variables.first().copied()).collect();
    own.join(", ")
}
