//! Defines the setting of the links beside backends.

use super::super::{
    backend_link::BackendLink,
    setting::{DefaultValue::Unset, NamedListSetting, Setting},
};

pub(in crate::settings) static BACKEND_LINKS: NamedListSetting<BackendLink> = NamedListSetting(Setting {
    path: "backendLinks",
    variables: &["ILB_BACKEND_LINKS"],
    parse: str::parse,
    default: Unset("none"),
    form: "links such as Logs=https://grafana.example/explore?pod={pod}, in the file also {name: Logs, url: 'https://…'}",
    about: "Links that the status page shows beside each backend, such as to its logs or dashboards; at most 8. After the host, \
            the URL may have the placeholders `{pod}`, `{namespace}`, `{node}`, `{address}` and `{pool}`, which are filled in \
            percent-encoded; a backend without one of them has no such link. Other braces are written `%7B` and `%7D`, and in a \
            variable or flag a comma is written `%2C`.",
});
