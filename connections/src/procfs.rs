//! Reads the socket table from `/proc/net/tcp` and `/proc/net/tcp6`: the fallback, with neither cookies nor traffic.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use crate::{
    error::ReadError,
    socket::{Family, Query, Socket, State, Traffic, canonical},
};

/// Visits the listening sockets of this network namespace, then the connections.
pub(crate) fn visit(query: &Query, visit: &mut dyn FnMut(&Socket)) -> Result<(), ReadError> {
    // Which connections count depends on the listening sockets, those of the other family included.
    let mut connections = Vec::new();
    for family in Family::ALL {
        let is_queried = query.families.contains(&family);
        let read = read_table(family, &mut |socket| {
            if socket.state == State::Listening {
                visit(&socket);
            } else if is_queried && query.ports.contains(&socket.remote.port()) {
                connections.push(socket);
            }
        });
        match read {
            // A kernel without IPv6 does not have the table.
            Err(ReadError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound && !is_queried => {}
            read => read?,
        }
    }
    connections.iter().for_each(visit);
    Ok(())
}

fn read_table(family: Family, visit: &mut dyn FnMut(Socket)) -> Result<(), ReadError> {
    const BUFFER_BYTES: usize = 64 * 1024;
    let (path, reading) = match family {
        Family::V4 => ("/proc/self/net/tcp", "reading /proc/self/net/tcp"),
        Family::V6 => ("/proc/self/net/tcp6", "reading /proc/self/net/tcp6"),
    };
    let file = File::open(path).map_err(ReadError::io(reading))?;
    read_lines(BufReader::with_capacity(BUFFER_BYTES, file), reading, family, visit)
}

/// Visits the sockets of a table; `reading` is the operation that an error names.
pub(crate) fn read_lines(
    mut table: impl BufRead,
    reading: &'static str,
    family: Family,
    visit: &mut dyn FnMut(Socket),
) -> Result<(), ReadError> {
    let mut line = String::new();
    table.read_line(&mut line).map_err(ReadError::io(reading))?; // the headings
    loop {
        line.clear();
        if table.read_line(&mut line).map_err(ReadError::io(reading))? == 0 {
            return Ok(());
        }
        if let Some(socket) =
            parse_socket(&line, family).map_err(|Malformed| ReadError::MalformedLine(line.trim().to_owned()))?
        {
            visit(socket);
        }
    }
}

/// The error of a line that does not have the format that the kernel documents.
#[derive(Debug, PartialEq, Eq)]
struct Malformed;

/// Parses a line: number, local and remote address, state, queues, timer, retransmits, user, timeout, inode, and more.
/// Returns `None` if the state does not matter for counting.
fn parse_socket(line: &str, family: Family) -> Result<Option<Socket>, Malformed> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let local = canonical(parse_address(fields.next().ok_or(Malformed)?)?);
    let remote = canonical(parse_address(fields.next().ok_or(Malformed)?)?);
    let state = match fields.next().ok_or(Malformed)? {
        "01" => State::Established,
        "02" => State::Opening,
        "04" | "05" | "0B" => State::EndedHere,
        "08" | "09" => State::EndedByRemote,
        "0A" => State::Listening,
        _ => return Ok(None),
    };
    let user = parse_number(fields.nth(3))?;
    let inode = parse_number(fields.nth(1))?;
    // The kernel may give the inode of a closed socket to another one soon, and its local port as well, but hardly
    // both.
    let identity = u64::from(inode) << 16 | u64::from(local.port());
    let (traffic, activity) = (Traffic::default(), None);
    Ok(Some(Socket { identity, family, local, remote, state, inode, user, traffic, activity }))
}

/// Parses `0100007F:1F90` as `127.0.0.1:8080`: the address in words of 32 bits, each in the byte order of the machine.
fn parse_address(text: &str) -> Result<SocketAddr, Malformed> {
    let (ip, port) = text.split_once(':').ok_or(Malformed)?;
    let word = |at: usize| {
        let digits = ip.get(at..at + 8).ok_or(Malformed)?;
        u32::from_str_radix(digits, 16).map(u32::to_ne_bytes).map_err(|_| Malformed)
    };
    let ip: IpAddr = match ip.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let mut bytes = [0; 16];
            for (i, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(8 * i)?);
            }
            Ipv6Addr::from(bytes).into()
        }
        _ => return Err(Malformed),
    };
    let port = u16::from_str_radix(port, 16).map_err(|_| Malformed)?;
    Ok((ip, port).into())
}

fn parse_number(field: Option<&str>) -> Result<u32, Malformed> {
    field.and_then(|digits| digits.parse().ok()).ok_or(Malformed)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("0100007F:1F90", "127.0.0.1:8080")]
    #[case("00000000000000000000000001000000:0016", "[::1]:22")]
    #[case("000080FE00000000FF005450B6AD1DFE:0050", "[fe80::5054:ff:fe1d:adb6]:80")]
    fn addresses_are_parsed_as_a_little_endian_machine_writes_them(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(parse_address(text), Ok(expected.parse().unwrap()));
    }

    #[test]
    fn a_line_gives_addresses_state_user_and_inode() {
        let line =
            "   3: 0100007F:D6D8 0500007F:0D05 02 00000001:00000000 01:00000064 00000000  1000        0 31415 2 00";
        let socket = parse_socket(line, Family::V4).unwrap().unwrap();
        assert_eq!(socket.remote, "127.0.0.5:3333".parse().unwrap());
        assert_eq!((socket.state, socket.user, socket.inode), (State::Opening, 1000, 31415));
    }

    #[test]
    fn an_ipv4_address_of_an_ipv6_socket_is_an_ipv4_address() {
        let line =
            "0: 0000000000000000FFFF00000100007F:D6D8 0000000000000000FFFF00000500007F:0D05 01 0:0 0:0 0 0 0 7 1";
        assert_eq!(parse_socket(line, Family::V6).unwrap().unwrap().remote, "127.0.0.5:3333".parse().unwrap());
    }

    #[rstest]
    #[case("")]
    #[case("0: 0100007F 0500007F:0D05 01")]
    #[case("0: 0100007F:D6D8 0500007F:0D05 01 0:0 0:0 0 nobody 0 7")]
    fn a_line_of_another_format_is_an_error(#[case] line: &str) {
        assert_eq!(parse_socket(line, Family::V4), Err(Malformed));
    }
}
