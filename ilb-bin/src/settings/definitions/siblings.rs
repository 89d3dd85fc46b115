//! Defines the settings of the siblings.

use super::{
    super::{
        parsers::boolean,
        setting::{
            DefaultValue::{Text, Unset},
            ListSetting, Setting,
        },
        sibling_service::SiblingService,
    },
    forms::BOOLEAN_FORM,
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

pub(in crate::settings) static EXPECT_SIBLINGS: Setting<bool> = Setting {
    path: "expectSiblings",
    variables: &["ILB_EXPECT_SIBLINGS"],
    parse: boolean,
    default: Text("true"),
    form: BOOLEAN_FORM,
    about: "`true`: ilb is degraded while it may not list the endpoints of `siblings`, because each replica then balances alone. \
            `false`: there is one replica, so that nothing is missing. The chart sets it by the number of pods.",
};
