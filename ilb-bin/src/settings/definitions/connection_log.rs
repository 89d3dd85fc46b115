//! Defines the settings of the log of connections.

use super::super::{
    definitions::forms::BOOLEAN_FORM,
    parsers::boolean,
    setting::{DefaultValue::Text, Setting},
};

pub(in crate::settings) static CONNECTION_LOG_ENABLED: Setting<bool> = Setting {
    path: "connectionLog.enabled",
    variables: &["ILB_CONNECTION_LOG"],
    parse: boolean,
    default: Text("false"),
    form: BOOLEAN_FORM,
    about: "`true`: each connection to a backend is logged when it has ended, at the level info: client, backend, pool, pod, \
            duration and bytes.",
};

pub(in crate::settings) static CONNECTION_LOG_MAX_RATE: Setting<u32> = Setting {
    path: "connectionLog.maxRate",
    variables: &["ILB_CONNECTION_LOG_MAX_RATE"],
    parse: lines_per_second,
    default: Text("100"),
    form: "a number from 1 to 10000",
    about: "Maximum number of these lines per second. If more connections end, a sample of them is logged, and the others are \
            counted.",
};

fn lines_per_second(text: &str) -> anyhow::Result<u32> {
    let number: u32 = text.parse()?;
    anyhow::ensure!((1..=10_000).contains(&number), "it is not from 1 to 10000");
    Ok(number)
}
