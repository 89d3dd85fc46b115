//! Defines the setting of the siblings.

use super::super::{
    setting::{DefaultValue::Unset, ListSetting, Setting},
    sibling_service::SiblingService,
};

pub(in crate::settings) static SIBLINGS: ListSetting<SiblingService> = ListSetting(Setting {
    path: "siblings",
    variables: &["ILB_SIBLINGS"],
    parse: str::parse,
    default: Unset("none"),
    form: "names of Services such as ilb-siblings, ilb-siblings:admin or ilb-siblings.shop:8081",
    about: "Headless Services whose endpoints are the replicas of ilb before the same backends: with them they balance as \
            one. After the name comes the namespace, if it is another one, and the port or its name, if it is not that of \
            `admin.address`.",
});
