//! The settings of a pool.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    time::Duration,
};

use ilb_controller::Shares;
use ilb_discovery::{AddressPolicy, BackendPort, Families};
use ilb_reconciler::{ClosingPolicy, Method, least_connections::Limit, zones::ZonePreference};
use ilb_traefik_client::{Name, ProxyProtocol, Timeouts};

use super::{
    backends::Backends,
    closing,
    definitions::{
        ADDRESS_FAMILIES, ALL_NAMESPACES, ALLOW_LOOPBACK, ALLOWED_NETWORKS, BACKEND_PORT, BACKENDS_FILE, CAPACITY,
        DIAL_TIMEOUT, DRAINING_FALLBACK, ENTRY_POINT, KEEP_ALIVE, MAX_CONNECTIONS, METHOD, NAMESPACES, OVERFLOW,
        POOL_NAME, PROXY_PROTOCOL, SELECTOR, SERVICE, SLOW_START, TERMINATION_DELAY, UPDATE_INTERVAL, WATCH,
        closing::REBALANCE_STOP_AT,
        zones::{ZONE_MAX_EXCESS, ZONES},
    },
    origin::Origin,
    reading::{Reading, Reported},
    setting::Key,
};

/// Settings of one pool.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PoolSettings {
    pub(crate) name: Name,
    pub(crate) entry_point: Name,
    pub(crate) backends: Backends,
    pub(crate) namespaces: Namespaces,
    pub(crate) port: BackendPort,
    pub(crate) families: Families,
    pub(crate) addresses: AddressPolicy,
    pub(crate) watch: bool,
    pub(crate) update_interval: Duration,
    pub(crate) method: Method,
    pub(crate) shares: Shares,
    pub(crate) slow_start: Duration,
    pub(crate) limit: Limit,
    /// Excess in percent up to which backends of the own zone are preferred; `None` if they are not.
    pub(crate) zone_max_excess: Option<u32>,
    pub(crate) draining_fallback: bool,
    pub(crate) timeouts: Timeouts,
    pub(crate) proxy_protocol: Option<ProxyProtocol>,
    /// Rules by which live connections are closed.
    pub(crate) closing: ClosingPolicy,
}

/// Namespaces that are searched for backends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Namespaces {
    /// The namespace that the process runs in, else the one of the kubeconfig's context.
    Own,
    These(Vec<String>),
    All,
}

impl PoolSettings {
    /// Reads and checks all pools. A pool that is left out has at least one problem.
    pub(super) fn read_all(reading: &mut Reading<'_>) -> Vec<Self> {
        let count = reading.merged.pools();
        let pools = (0..count).filter_map(|pool| Self::read(&mut reading.for_pool(pool), count).ok()).collect();
        report_duplicates(reading, count, POOL_NAME.key());
        report_duplicates(reading, count, ENTRY_POINT.key());
        pools
    }

    fn read(reading: &mut Reading<'_>, count: usize) -> Result<Self, Reported> {
        let name = name(reading, count);
        let backends = backends(reading);
        let method = reading.get(&METHOD)?;
        let (watch, update_interval) = (reading.get(&WATCH)?, reading.get(&UPDATE_INTERVAL)?);
        let closing = closing::read(reading, backends.as_ref().ok(), method, (watch, update_interval))?;
        Ok(Self {
            name: name?,
            entry_point: reading.get(&ENTRY_POINT)?,
            namespaces: namespaces(reading, backends.as_ref().ok()),
            port: reading.get(&BACKEND_PORT)?,
            families: reading.get(&ADDRESS_FAMILIES)?,
            addresses: addresses(reading)?,
            watch,
            update_interval,
            method,
            shares: reading.get(&CAPACITY)?,
            slow_start: slow_start(reading, method)?,
            limit: limit(reading, method)?,
            zone_max_excess: zones(reading, method, &closing)?,
            draining_fallback: reading.get(&DRAINING_FALLBACK)?,
            timeouts: timeouts(reading)?,
            proxy_protocol: reading.get_optional(&PROXY_PROTOCOL),
            closing,
            // Last, so that a pool without backends is checked as a whole.
            backends: backends?,
        })
    }
}

fn name(reading: &mut Reading<'_>, count: usize) -> Result<Name, Reported> {
    if count > 1 && reading.origin(POOL_NAME.key()).is_none() {
        let path = reading.name(POOL_NAME.key());
        reading.report(format!("{path} is not set: give each of {count} pools a name of its own"));
    }
    reading.get(&POOL_NAME)
}

fn backends(reading: &mut Reading<'_>) -> Result<Backends, Reported> {
    let sources = [SELECTOR.key(), SERVICE.key(), BACKENDS_FILE.key()];
    let given: Vec<_> = sources.into_iter().filter(|key| reading.origin(*key).is_some()).collect();
    match given.as_slice() {
        // The part of the file that could not be read may give one.
        [] if sources.into_iter().any(|key| reading.is_unreadable(key)) => {}
        [] => reading.report(format!(
            "no backends are configured: set POD_LABELS, --selector or {} in the file to a label selector such as \
             app=my-app, or give a service or a file",
            reading.name(SELECTOR.key())
        )),
        [_] => {}
        several => {
            let names: Vec<_> = several.iter().map(|key| reading.name(*key)).collect();
            reading
                .report(format!("{} exclude each other: keep one of selector, service and file", names.join(" and ")));
        }
    }
    let selector = reading.get_optional(&SELECTOR).map(Backends::Pods);
    let service = reading.get_optional(&SERVICE).map(Backends::Service);
    let file = reading.get_optional(&BACKENDS_FILE).map(Backends::File);
    let backends = selector.or(service).or(file).ok_or(Reported)?;
    if matches!(backends, Backends::File(_)) {
        let only_with_kubernetes = [
            NAMESPACES.key(),
            ALL_NAMESPACES.key(),
            BACKEND_PORT.key(),
            ADDRESS_FAMILIES.key(),
            WATCH.key(),
            DRAINING_FALLBACK.key(),
        ];
        for key in only_with_kubernetes {
            report_ineffective(reading, key, "a file of backends");
        }
    }
    Ok(backends)
}

fn namespaces(reading: &mut Reading<'_>, backends: Option<&Backends>) -> Namespaces {
    let names = reading.get_optional_list(&NAMESPACES);
    let everywhere = reading.get(&ALL_NAMESPACES) == Ok(true);
    let [these, all] = [NAMESPACES.key(), ALL_NAMESPACES.key()].map(|key| reading.name(key));
    match (names, everywhere, backends) {
        (Some(_), true, _) => reading.report(format!("{these} and {all} exclude each other: keep one of them")),
        (Some(names), _, Some(Backends::Service(_))) if names.len() > 1 => {
            reading.report(format!("{these} has {} namespaces: a Service is in one, keep only that", names.len()));
        }
        (_, true, Some(Backends::Service(_))) => {
            reading.report(format!("{all} does not fit a Service, which is in one namespace: give that in namespaces"));
        }
        (Some(names), ..) if names.is_empty() => {
            reading.report(format!("{these} is empty: name a namespace, or leave it out"));
        }
        (Some(names), ..) => return Namespaces::These(names),
        (None, true, _) => return Namespaces::All,
        (None, false, _) => {}
    }
    Namespaces::Own
}

fn addresses(reading: &mut Reading<'_>) -> Result<AddressPolicy, Reported> {
    let networks = reading.get_optional_list(&ALLOWED_NETWORKS);
    let mut addresses = AddressPolicy::default();
    if reading.get(&ALLOW_LOOPBACK)? {
        addresses = addresses.allow_loopback();
    }
    Ok(match networks {
        Some(networks) => addresses.allow_only(networks),
        None => addresses,
    })
}

fn slow_start(reading: &mut Reading<'_>, method: Method) -> Result<Duration, Reported> {
    let slow_start = reading.get(&SLOW_START)?;
    if method == Method::RoundRobin && !slow_start.is_zero() {
        report_ineffective(reading, SLOW_START.key(), "the method roundrobin, in which backends take turns");
    }
    Ok(slow_start)
}

fn limit(reading: &mut Reading<'_>, method: Method) -> Result<Limit, Reported> {
    let max_connections = reading.get_optional(&MAX_CONNECTIONS);
    if method == Method::RoundRobin {
        report_ineffective(reading, MAX_CONNECTIONS.key(), "the method roundrobin, which counts nothing");
    }
    Ok(Limit { max_connections, overflow: reading.get(&OVERFLOW)? })
}

fn zones(reading: &mut Reading<'_>, method: Method, closing: &ClosingPolicy) -> Result<Option<u32>, Reported> {
    let (is_on, max_excess) = (reading.get(&ZONES)?, reading.get(&ZONE_MAX_EXCESS)?);
    if !is_on && max_excess == ZonePreference::DEFAULT_MAX_EXCESS_PERCENT {
        return Ok(None);
    }
    if !is_on {
        report_ineffective(reading, ZONE_MAX_EXCESS.key(), "zones: off");
        return Ok(None);
    }
    if method == Method::RoundRobin {
        report_ineffective(reading, ZONES.key(), "the method roundrobin, in which backends take turns");
    }
    if closing.rebalance.is_some_and(|rebalance| rebalance.stop_at_percent < max_excess) {
        let [stop_at, excess] = [REBALANCE_STOP_AT.key(), ZONE_MAX_EXCESS.key()].map(|key| reading.name(key));
        reading.report(format!(
            "{stop_at} must be at least {excess} ({max_excess} %): otherwise connections that are preferred in the own zone              would be closed again"
        ));
    }
    Ok(Some(max_excess))
}

fn timeouts(reading: &mut Reading<'_>) -> Result<Timeouts, Reported> {
    let mut timeouts = Timeouts::default();
    for (setting, timeout) in [
        (&DIAL_TIMEOUT, &mut timeouts.dial),
        (&KEEP_ALIVE, &mut timeouts.keep_alive),
        (&TERMINATION_DELAY, &mut timeouts.termination_delay),
    ] {
        *timeout = reading.get(setting)?;
    }
    Ok(timeouts)
}

/// Reports a setting that is given although it has no effect with `what`.
fn report_ineffective(reading: &mut Reading<'_>, key: Key, what: &str) {
    match reading.origin(key) {
        // The chart sets it in every pod, to the namespace that the process runs in.
        Some(Origin::Variable("POD_NAMESPACE")) | None => {}
        Some(_) => reading.report(format!("{} has no effect with {what}: remove it", reading.name(key))),
    }
}

/// Reports pools with the same value of a setting that must differ, also pools with other problems. A pool for which it
/// is not given has the default.
fn report_duplicates(reading: &mut Reading<'_>, count: usize, key: Key) {
    let word = key.path.rsplit('.').next().unwrap_or(key.path);
    let mut first_with = BTreeMap::new();
    for pool in 0..count {
        let mut reading = reading.for_pool(pool);
        let given = reading.given(key);
        let is_given = given.is_some();
        match first_with.entry(given.map_or_else(|| key.default.to_string(), |given| given.text)) {
            Entry::Vacant(entry) => {
                entry.insert(pool);
            }
            // A pool without a name has been reported.
            Entry::Occupied(_) if key.path == POOL_NAME.path && !is_given => {}
            Entry::Occupied(first) => {
                let (place, value, first) = (reading.name(key), first.key(), first.get());
                reading.report(format!("{place}: pools[{first}] has the {word} {value} already: give another one"));
            }
        }
    }
}
