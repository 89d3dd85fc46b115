//! Defines the settings by which live connections of a pool are closed.

use std::time::Duration;

use ilb_reconciler::closing::Window;

use super::{
    super::{
        parsers::{self, boolean, parsed, positive_duration},
        setting::{
            DefaultValue::{Text, Unset},
            Setting,
        },
    },
    forms::{BOOLEAN_FORM, DURATION_FORM},
};

const PERCENT_FORM: &str = "a percentage from 1% to 100%";
const RATE_FORM: &str = "a number from 1 to 1000";
const DURATION_OR_ZERO_FORM: &str = "a duration with units such as 500ms, 1s or 1m30s, at most 8760h";

pub(in crate::settings) static REBALANCE_ENABLED: Setting<bool> = Setting {
    path: "pools[].closing.rebalance.enabled",
    variables: &["ILB_CLOSING_REBALANCE_ENABLED"],
    parse: boolean,
    default: Text("false"),
    form: BOOLEAN_FORM,
    about: "`true`: after a scale-out, move connections from the fullest backends to those that have fewer, by \
            closing them one by one while they are answered and quiet: their clients connect again. Never more \
            than the others have room for.",
};

pub(in crate::settings) static REBALANCE_START_ABOVE: Setting<u32> = Setting {
    path: "pools[].closing.rebalance.startAbove",
    variables: &["ILB_CLOSING_REBALANCE_START_ABOVE"],
    parse: parsers::percent,
    default: Text("20%"),
    form: PERCENT_FORM,
    about: "A rebalance begins if one backend has this much more than its share, and another one as much less.",
};

pub(in crate::settings) static REBALANCE_STOP_AT: Setting<u32> = Setting {
    path: "pools[].closing.rebalance.stopAt",
    variables: &["ILB_CLOSING_REBALANCE_STOP_AT"],
    parse: parsers::percent,
    default: Text("5%"),
    form: PERCENT_FORM,
    about: "A rebalance ends when no backend has more than this above its share. Less than `startAbove`.",
};

pub(in crate::settings) static REBALANCE_LEAST: Setting<u32> = Setting {
    path: "pools[].closing.rebalance.least",
    variables: &["ILB_CLOSING_REBALANCE_LEAST"],
    parse: parsers::count,
    default: Text("5"),
    form: "a number of connections such as 5",
    about: "A rebalance begins only if a backend has at least this many connections more than its share.",
};

pub(in crate::settings) static REBALANCE_RATE: Setting<u32> = Setting {
    path: "pools[].closing.rebalance.rate",
    variables: &["ILB_CLOSING_REBALANCE_RATE"],
    parse: parsers::permille,
    default: Text("0.5%"),
    form: "a share such as 0.5%, from 0.1% to 100%",
    about: "Closings a second, as a share of the mean connections of a backend, but at least one a second.",
};

pub(in crate::settings) static REBALANCE_MAX_RATE: Setting<u32> = Setting {
    path: "pools[].closing.rebalance.maxRate",
    variables: &["ILB_CLOSING_REBALANCE_MAX_RATE"],
    parse: parsers::rate,
    default: Text("10"),
    form: RATE_FORM,
    about: "Maximum number of closings a second, whatever `rate` says.",
};

pub(in crate::settings) static REBALANCE_MIN_AGE: Setting<Duration> = Setting {
    path: "pools[].closing.rebalance.minAge",
    variables: &["ILB_CLOSING_REBALANCE_MIN_AGE"],
    parse: parsers::duration,
    default: Text("5m"),
    form: DURATION_OR_ZERO_FORM,
    about: "Connections that ilb has known for less time than this are not moved.",
};

pub(in crate::settings) static REBALANCE_QUIET: Setting<Duration> = Setting {
    path: "pools[].closing.rebalance.quiet",
    variables: &["ILB_CLOSING_REBALANCE_QUIET"],
    parse: parsers::duration,
    default: Text("200ms"),
    form: DURATION_OR_ZERO_FORM,
    about: "A connection is moved only if neither side has sent anything for this time.",
};

pub(in crate::settings) static DRAIN_ENABLED: Setting<bool> = Setting {
    path: "pools[].closing.drain.enabled",
    variables: &["ILB_CLOSING_DRAIN_ENABLED"],
    parse: boolean,
    default: Text("false"),
    form: BOOLEAN_FORM,
    about: "`true`: close what is left on a draining backend, spread over the time that there is, while another \
            one is ready.",
};

pub(in crate::settings) static DRAIN_AFTER: Setting<Duration> = Setting {
    path: "pools[].closing.drain.after",
    variables: &["ILB_CLOSING_DRAIN_AFTER"],
    parse: parsers::duration,
    default: Text("10m"),
    form: DURATION_OR_ZERO_FORM,
    about: "Time for which a draining backend keeps its connections. It is shorter if the pod is killed earlier.",
};

pub(in crate::settings) static DRAIN_WITHIN: Setting<Duration> = Setting {
    path: "pools[].closing.drain.within",
    variables: &["ILB_CLOSING_DRAIN_WITHIN"],
    parse: positive_duration,
    default: Text("2m"),
    form: DURATION_FORM,
    about: "Time after that over which they are closed, answered ones first and at the end all. It is shorter if \
            the pod is killed earlier: the last one is closed 10 s before.",
};

pub(in crate::settings) static DRAIN_QUIET: Setting<Duration> = Setting {
    path: "pools[].closing.drain.quiet",
    variables: &["ILB_CLOSING_DRAIN_QUIET"],
    parse: parsers::duration,
    default: Text("1s"),
    form: DURATION_OR_ZERO_FORM,
    about: "Until the end, a connection is closed only if neither side has sent anything for this time. For \
            databases, give 30s.",
};

pub(in crate::settings) static ON_SELECTOR_LEFT: Setting<bool> = Setting {
    path: "pools[].closing.onSelectorLeft",
    variables: &["ILB_CLOSING_ON_SELECTOR_LEFT"],
    parse: parsers::keep_or_close,
    default: Text("keep"),
    form: "keep or close",
    about: "What becomes of the connections to a ready pod that no longer matches the selector while it lives \
            on, such as the old primary of a database. `close`: they are closed at once. Only with `selector` \
            and `watch`.",
};

pub(in crate::settings) static WAIT_FOR_SUCCESSOR: Setting<Duration> = Setting {
    path: "pools[].closing.waitForSuccessor",
    variables: &["ILB_CLOSING_WAIT_FOR_SUCCESSOR"],
    parse: parsers::duration,
    default: Text("10s"),
    form: DURATION_OR_ZERO_FORM,
    about: "How long these connections stay if no other backend is ready.",
};

pub(in crate::settings) static MAX_AGE: Setting<Duration> = Setting {
    path: "pools[].closing.maxAge",
    variables: &["ILB_CLOSING_MAX_AGE"],
    parse: parsers::max_age,
    default: Unset("none"),
    form: "a duration of at least 1s, such as 12h",
    about: "Connections that ilb has known for this time are closed as soon as they are answered.",
};

pub(in crate::settings) static AGE_JITTER: Setting<u32> = Setting {
    path: "pools[].closing.ageJitter",
    variables: &["ILB_CLOSING_AGE_JITTER"],
    parse: parsers::percent,
    default: Text("20%"),
    form: PERCENT_FORM,
    about: "By how much the age at which a connection is closed varies, upwards.",
};

pub(in crate::settings) static AGE_GRACE: Setting<Duration> = Setting {
    path: "pools[].closing.ageGrace",
    variables: &["ILB_CLOSING_AGE_GRACE"],
    parse: parsers::duration,
    default: Unset("none"),
    form: DURATION_OR_ZERO_FORM,
    about: "Time after which a connection that is too old is closed whatever goes on. Without it, a busy one is \
            never closed.",
};

pub(in crate::settings) static AGE_MAX_RATE: Setting<u32> = Setting {
    path: "pools[].closing.ageMaxRate",
    variables: &["ILB_CLOSING_AGE_MAX_RATE"],
    parse: parsers::rate,
    default: Text("10"),
    form: RATE_FORM,
    about: "Maximum number of closings a second because of age.",
};

pub(in crate::settings) static AGE_QUIET: Setting<Duration> = Setting {
    path: "pools[].closing.ageQuiet",
    variables: &["ILB_CLOSING_AGE_QUIET"],
    parse: parsers::duration,
    default: Text("200ms"),
    form: DURATION_OR_ZERO_FORM,
    about: "A connection that is too old is closed only if neither side has sent anything for this time.",
};

pub(in crate::settings) static EVEN_ALONE: Setting<bool> = Setting {
    path: "pools[].closing.evenAlone",
    variables: &["ILB_CLOSING_EVEN_ALONE"],
    parse: boolean,
    default: Text("false"),
    form: BOOLEAN_FORM,
    about: "`true`: close connections that are too old even if their backend is the only one, to which their \
            clients return.",
};

pub(in crate::settings) static SETTLE: Setting<Duration> = Setting {
    path: "pools[].closing.settle",
    variables: &["ILB_CLOSING_SETTLE"],
    parse: parsers::duration,
    default: Text("60s"),
    form: DURATION_OR_ZERO_FORM,
    about: "Nothing is closed for this time after a start of ilb or Traefik, and nothing is moved for this time \
            after a change of the backends.",
};

pub(in crate::settings) static MAX_PER_HOUR: Setting<u32> = Setting {
    path: "pools[].closing.maxPerHour",
    variables: &["ILB_CLOSING_MAX_PER_HOUR"],
    parse: parsers::hourly_percent,
    default: Text("100%"),
    form: "a percentage from 1% to 10000%",
    about: "Closings of one backend in any hour because of rebalance and age together, as a share of the mean \
            connections of a backend.",
};

pub(in crate::settings) static ONLY: Setting<Window> = Setting {
    path: "pools[].closing.only",
    variables: &["ILB_CLOSING_ONLY"],
    parse: parsed,
    default: Unset("always"),
    form: "a part of the day in UTC such as 22:00-05:00",
    about: "Part of the day, in UTC, outside of which nothing is closed because of rebalance or age.",
};

pub(in crate::settings) static DRY_RUN: Setting<bool> = Setting {
    path: "pools[].closing.dryRun",
    variables: &["ILB_CLOSING_DRY_RUN"],
    parse: boolean,
    default: Text("false"),
    form: BOOLEAN_FORM,
    about: "`true`: decide and show everything, and close nothing.",
};
