//! The kernel's table from `/proc/net/tcp` and `/proc/net/tcp6`: the fallback. It has neither cookies nor traffic.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use crate::{
    error::Unreadable,
    socket::{Socket, State, Traffic, Wanted, canonical},
};

const IPV4: &str = "/proc/self/net/tcp";
const IPV6: &str = "/proc/self/net/tcp6";

/// Visits the listening sockets and connections of this network namespace.
pub(crate) fn visit(wanted: &Wanted, visit: &mut dyn FnMut(&Socket)) -> Result<(), Unreadable> {
    let mut line = String::new();
    for (_, path) in [(wanted.ipv4, IPV4), (wanted.ipv6, IPV6)].iter().filter(|(wanted, _)| *wanted) {
        let mut table = BufReader::with_capacity(64 * 1024, File::open(path).map_err(Unreadable::io(path))?);
        table.read_line(&mut line).map_err(Unreadable::io(path))?; // the headings
        loop {
            line.clear();
            if table.read_line(&mut line).map_err(Unreadable::io(path))? == 0 {
                break;
            }
            let socket = parse_socket(&line).map_err(|Malformed| Unreadable::Unintelligible(line.trim().to_owned()))?;
            if let Some(socket) =
                socket.filter(|r| r.state == State::Listening || wanted.ports.contains(&r.remote.port()))
            {
                visit(&socket);
            }
        }
    }
    Ok(())
}

/// A line that is not of the form that the kernel documents.
#[derive(Debug, PartialEq, Eq)]
struct Malformed;

/// One line: number, local and remote address, state, queues, timer, retransmits, user, timeout, inode, and more. `None`
/// if its state does not matter here.
fn parse_socket(line: &str) -> Result<Option<Socket>, Malformed> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let local = canonical(fields.next().and_then(address).ok_or(Malformed)?);
    let remote = canonical(fields.next().and_then(address).ok_or(Malformed)?);
    let state = match fields.next().ok_or(Malformed)? {
        "01" => State::Established,
        "02" => State::Opening,
        "0A" => State::Listening,
        _ => return Ok(None),
    };
    let user = fields.nth(3).and_then(|f| f.parse().ok()).ok_or(Malformed)?;
    let inode: u32 = fields.nth(1).and_then(|f| f.parse().ok()).ok_or(Malformed)?;
    // An inode may be given to another socket soon after this one is gone; its local port as well, but hardly both.
    let identity = u64::from(inode) << 16 | u64::from(local.port());
    Ok(Some(Socket { identity, local, remote, state, inode, user, traffic: Traffic::default() }))
}

/// `0100007F:1F90` is `127.0.0.1:8080`: the address in words of 32 bits, each in the byte order of the machine.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let word = |at: usize| u32::from_str_radix(ip.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    let ip: IpAddr = match ip.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let mut bytes = [0; 16];
            for (i, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(8 * i)?);
            }
            Ipv6Addr::from(bytes).into()
        }
        _ => return None,
    };
    Some((ip, u16::from_str_radix(port, 16).ok()?).into())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("0100007F:1F90", "127.0.0.1:8080")]
    #[case("00000000000000000000000001000000:0016", "[::1]:22")]
    #[case("000080FE00000000FF005450B6AD1DFE:0050", "[fe80::5054:ff:fe1d:adb6]:80")]
    fn addresses_are_read_as_a_little_endian_machine_writes_them(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(address(text), Some(expected.parse().unwrap()));
    }

    #[test]
    fn a_line_gives_addresses_state_user_and_inode() {
        let line =
            "   3: 0100007F:D6D8 0500007F:0D05 02 00000001:00000000 01:00000064 00000000  1000        0 31415 2 00";
        let socket = parse_socket(line).unwrap().unwrap();
        assert_eq!(socket.remote, "127.0.0.5:3333".parse().unwrap());
        assert_eq!((socket.state, socket.user, socket.inode), (State::Opening, 1000, 31415));
    }

    #[test]
    fn a_v4_address_in_a_v6_socket_is_a_v4_address() {
        let line =
            "0: 0000000000000000FFFF00000100007F:D6D8 0000000000000000FFFF00000500007F:0D05 01 0:0 0:0 0 0 0 7 1";
        assert_eq!(parse_socket(line).unwrap().unwrap().remote, "127.0.0.5:3333".parse().unwrap());
    }

    #[rstest]
    #[case("")]
    #[case("0: 0100007F 0500007F:0D05 01")]
    #[case("0: 0100007F:D6D8 0500007F:0D05 01 0:0 0:0 0 nobody 0 7")]
    fn a_line_of_another_form_is_an_error(#[case] line: &str) {
        assert_eq!(parse_socket(line), Err(Malformed));
    }
}
