//! Counters of this network namespace from `/proc`.

use std::{
    fs::{self, File},
    io::{Read, Seek},
};

use crate::{error::ReadError, port_range::PortRange};

/// Counts the connections that this network namespace has opened, from `/proc/self/net/snmp`.
///
/// Holds the open file, because opening it costs more than reading it.
#[derive(Debug)]
pub(crate) struct OpenedCounter {
    file: File,
    text: String,
}

const SNMP: &str = "/proc/self/net/snmp";

impl OpenedCounter {
    pub(crate) fn open() -> Result<Self, ReadError> {
        let file = File::open(SNMP).map_err(ReadError::io("opening /proc/self/net/snmp"))?;
        Ok(Self { file, text: String::new() })
    }

    /// Returns the number of connection attempts since the namespace exists.
    pub(crate) fn read(&mut self) -> Result<u64, ReadError> {
        self.text.clear();
        let read = self.file.rewind().and_then(|()| self.file.read_to_string(&mut self.text));
        read.map_err(ReadError::io("reading /proc/self/net/snmp"))?;
        parse_active_opens(&self.text).ok_or(ReadError::MalformedFile(SNMP))
    }
}

/// Parses the counter `ActiveOpens` of the protocol `Tcp`, which has a line of names and a line of values.
pub(crate) fn parse_active_opens(snmp: &str) -> Option<u64> {
    let mut lines = snmp.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let (names, values) = (lines.next()?, lines.next()?);
    let (_, value) = names.split(' ').zip(values.split(' ')).find(|(name, _)| *name == "ActiveOpens")?;
    value.parse().ok()
}

/// Returns the ports from which the kernel picks the local ports of connections; its default where that cannot be read.
pub(crate) fn local_ports() -> PortRange {
    fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|text| parse_port_range(&text))
        .unwrap_or_default()
}

pub(crate) fn parse_port_range(text: &str) -> Option<PortRange> {
    let mut ports = text.split_ascii_whitespace().map(str::parse);
    PortRange::new(ports.next()?.ok()?, ports.next()?.ok()?)
}

/// Returns `true` if the kernel keeps at least `more` further connections in TIME-WAIT before it drops them.
pub(crate) fn time_wait_has_room(more: u64) -> bool {
    let max = fs::read_to_string("/proc/sys/net/ipv4/tcp_max_tw_buckets").ok().and_then(|t| t.trim().parse().ok());
    let used = fs::read_to_string("/proc/self/net/sockstat").ok().and_then(|text| parse_time_wait(&text));
    matches!((max, used), (Some(max), Some(used)) if more.saturating_add(used) < max)
}

/// Parses the number of connections in TIME-WAIT, which `/proc/net/sockstat` has as `TCP: inuse 5 orphan 0 tw 7 …`.
pub(crate) fn parse_time_wait(sockstat: &str) -> Option<u64> {
    let mut words = sockstat.lines().find_map(|line| line.strip_prefix("TCP: "))?.split_ascii_whitespace();
    words.find(|word| *word == "tw")?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_of_opened_connections_is_found_by_its_name() {
        let snmp = "Ip: Forwarding DefaultTTL\nIp: 1 64\n\
                    Tcp: RtoAlgorithm MaxConn ActiveOpens PassiveOpens\nTcp: 1 -1 4711 9\nUdp: InDatagrams\nUdp: 2\n";
        assert_eq!(parse_active_opens(snmp), Some(4711));
        assert_eq!(parse_active_opens("Tcp: MaxConn\nTcp: -1\n"), None);
        assert_eq!(parse_active_opens(""), None);
    }

    #[test]
    fn the_connections_in_time_wait_are_found_by_their_name() {
        let sockstat = "sockets: used 40\nTCP: inuse 5 orphan 0 tw 7 alloc 6 mem 1\nUDP: inuse 0 mem 0\n";
        assert_eq!(parse_time_wait(sockstat), Some(7));
        assert_eq!(parse_time_wait("TCP: inuse 5\n"), None);
    }

    #[test]
    fn the_range_of_local_ports_is_parsed() {
        assert_eq!(parse_port_range("32768\t60999\n"), PortRange::new(32768, 60999));
        assert_eq!(parse_port_range("60999 32768"), None);
        assert_eq!(parse_port_range("1"), None);
    }
}
