//! The settings by which live connections of a pool are closed.

use std::time::Duration;

use ilb_reconciler::{
    ClosingPolicy, Method,
    closing::{Age, Drain, HourlyBudget, Rebalance, Role, Settle},
};

use super::{
    backends::Backends,
    definitions::{
        METHOD, UPDATE_INTERVAL, WATCH,
        closing::{
            AGE_GRACE, AGE_JITTER, AGE_MAX_RATE, AGE_QUIET, DRAIN_AFTER, DRAIN_ENABLED, DRAIN_QUIET, DRAIN_WITHIN,
            DRY_RUN, EVEN_ALONE, MAX_AGE, MAX_PER_HOUR, ON_SELECTOR_LEFT, ONLY, REBALANCE_ENABLED, REBALANCE_LEAST,
            REBALANCE_MAX_RATE, REBALANCE_MIN_AGE, REBALANCE_QUIET, REBALANCE_RATE, REBALANCE_START_ABOVE,
            REBALANCE_STOP_AT, SETTLE, WAIT_FOR_SUCCESSOR,
        },
    },
    reading::{Reading, Reported},
    setting::Key,
};

/// Longest interval at which the backends of a pool may be listed while its connections are closed.
const MAX_UPDATE_INTERVAL: Duration = Duration::from_secs(4);

/// Reads and checks the rules of a pool with these backends, which are watched or not.
pub(super) fn read(
    reading: &mut Reading<'_>,
    backends: Option<&Backends>,
    method: Method,
    (is_watched, update_interval): (bool, Duration),
) -> Result<ClosingPolicy, Reported> {
    let closing = ClosingPolicy {
        rebalance: rebalance(reading)?,
        drain: drain(reading)?,
        role: role(reading, backends, is_watched)?,
        age: age(reading)?,
        settle: Settle(reading.get(&SETTLE)?),
        budget: HourlyBudget(reading.get(&MAX_PER_HOUR)?),
        window: reading.get_optional(&ONLY),
        dry_run: reading.get(&DRY_RUN)?,
    };
    if closing.rebalance.is_none() && closing.age.is_none() && closing.window.is_some() {
        report_without(reading, ONLY.key(), "rebalance.enabled or maxAge");
    }
    if !closing.is_off() {
        check_knowledge(reading, method, is_watched, update_interval);
    }
    Ok(closing)
}

/// Reports settings by which too little is known to close connections.
fn check_knowledge(reading: &mut Reading<'_>, method: Method, is_watched: bool, update_interval: Duration) {
    if method == Method::RoundRobin {
        let method = reading.name(METHOD.key());
        reading.report(format!(
            "{method} does not fit the rules under closing: connections are counted only with leastconn, so use that or \
             switch the rules off"
        ));
    }
    if update_interval > MAX_UPDATE_INTERVAL {
        let (interval, watch) = (reading.name(UPDATE_INTERVAL.key()), reading.name(WATCH.key()));
        let what = if is_watched { "connections would be counted" } else { "backends would be listed" };
        reading.report(format!(
            "{interval} is too long for the rules under closing: {what} so seldom that what is known would be stale, so \
             give at most 4s{}, or switch the rules off",
            if is_watched { String::new() } else { format!(" or set {watch} to true") }
        ));
    }
}

fn rebalance(reading: &mut Reading<'_>) -> Result<Option<Rebalance>, Reported> {
    let is_enabled = reading.get(&REBALANCE_ENABLED)?;
    let rebalance = Rebalance {
        start_above_percent: reading.get(&REBALANCE_START_ABOVE)?,
        stop_at_percent: reading.get(&REBALANCE_STOP_AT)?,
        least: reading.get(&REBALANCE_LEAST)?,
        rate_permille: reading.get(&REBALANCE_RATE)?,
        max_rate: reading.get(&REBALANCE_MAX_RATE)?,
        min_age: reading.get(&REBALANCE_MIN_AGE)?,
        quiet: reading.get(&REBALANCE_QUIET)?,
    };
    if rebalance.stop_at_percent >= rebalance.start_above_percent {
        let [stop, start] = [&REBALANCE_STOP_AT, &REBALANCE_START_ABOVE].map(|setting| reading.name(setting.key()));
        reading.report(format!(
            "{stop} must be less than {start} ({} % is not less than {} %): otherwise a rebalance would end where the next \
             one begins",
            rebalance.stop_at_percent, rebalance.start_above_percent
        ));
    }
    Ok(is_enabled.then_some(rebalance))
}

fn drain(reading: &mut Reading<'_>) -> Result<Option<Drain>, Reported> {
    let is_enabled = reading.get(&DRAIN_ENABLED)?;
    let (after, within) = (reading.get(&DRAIN_AFTER)?, reading.get(&DRAIN_WITHIN)?);
    let drain = Drain { after, within, quiet: reading.get(&DRAIN_QUIET)? };
    Ok(is_enabled.then_some(drain))
}

fn role(reading: &mut Reading<'_>, backends: Option<&Backends>, is_watched: bool) -> Result<Option<Role>, Reported> {
    let closes = reading.get(&ON_SELECTOR_LEFT)?;
    let role = Role { wait_for_successor: reading.get(&WAIT_FOR_SUCCESSOR)? };
    if !closes {
        if role != Role::default() {
            report_without(reading, WAIT_FOR_SUCCESSOR.key(), "onSelectorLeft: close");
        }
        return Ok(None);
    }
    let name = reading.name(ON_SELECTOR_LEFT.key());
    match backends {
        Some(Backends::Service(_) | Backends::File(_)) => reading.report(format!(
            "{name}=close does not fit a service or a file, which do not show why a backend left: give a selector, or keep"
        )),
        _ if !is_watched => {
            let watch = reading.name(WATCH.key());
            reading.report(format!(
                "{name}=close needs {watch} to be true: a list does not show why a backend left, so watch, or give keep"
            ));
        }
        _ => {}
    }
    Ok(Some(role))
}

fn age(reading: &mut Reading<'_>) -> Result<Option<Age>, Reported> {
    let max_age = reading.get_optional(&MAX_AGE);
    let age = Age {
        max_age: max_age.unwrap_or_default(),
        jitter_percent: reading.get(&AGE_JITTER)?,
        grace: reading.get_optional(&AGE_GRACE),
        max_rate: reading.get(&AGE_MAX_RATE)?,
        quiet: reading.get(&AGE_QUIET)?,
        even_alone: reading.get(&EVEN_ALONE)?,
    };
    if max_age.is_some() || reading.origin(MAX_AGE.key()).is_some() || reading.is_unreadable(MAX_AGE.key()) {
        return Ok(max_age.map(|_| age));
    }
    let default = Age::new(Duration::ZERO);
    for (key, is_default) in [
        (AGE_JITTER.key(), age.jitter_percent == default.jitter_percent),
        (AGE_GRACE.key(), age.grace == default.grace),
        (AGE_MAX_RATE.key(), age.max_rate == default.max_rate),
        (AGE_QUIET.key(), age.quiet == default.quiet),
        (EVEN_ALONE.key(), age.even_alone == default.even_alone),
    ] {
        if !is_default {
            report_without(reading, key, "maxAge");
        }
    }
    Ok(None)
}

/// Reports a setting that is given although it has no effect without another one.
fn report_without(reading: &mut Reading<'_>, key: Key, needed: &str) {
    let name = reading.name(key);
    reading.report(format!("{name} has no effect without {needed}: remove it, or set that"));
}

#[cfg(test)]
mod tests;
