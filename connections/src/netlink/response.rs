//! Parses the responses of `sock_diag`.

use std::{io, net::SocketAddr, time::Duration};

use netlink_packet_core::{NLMSG_DONE, NLMSG_ERROR, NlasIterator, Parseable};
use netlink_packet_sock_diag::{
    SOCK_DIAG_BY_FAMILY,
    constants::{
        INET_DIAG_INFO, TCP_CLOSE_WAIT, TCP_ESTABLISHED, TCP_FIN_WAIT1, TCP_FIN_WAIT2, TCP_LISTEN, TCP_SYN_SENT,
    },
    inet::InetResponseHeader,
};

use crate::{
    error::ReadError,
    netlink::request::MESSAGE_HEADER_BYTES,
    socket::{Pass, Socket, State, Traffic, canonical},
};

/// The progress of a dump, which comes in several responses.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    MoreToCome,
    Done,
}

/// Flags a message of a dump during which the table changed: sockets may be missing or listed twice.
const NLM_F_DUMP_INTR: u16 = 0x10;

/// Length of `inet_diag_msg` in `linux/inet_diag.h`, in bytes; the attributes of the socket follow it.
const INET_DIAG_MSG_BYTES: usize = 72;

/// Visits the sockets of one response to the request with this sequence number.
///
/// The library parses messages and attributes; its type for a whole message is not used because it copies every
/// attribute of every socket to the heap.
pub(super) fn read(
    mut response: &[u8],
    sequence: u32,
    pass: &mut Pass,
    visit: &mut dyn FnMut(&Socket),
) -> Result<Progress, ReadError> {
    while let Some(length) = u32_at(response, 0) {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let (Some(message), Some(flags)) = (response.get(MESSAGE_HEADER_BYTES..length), u16_at(response, 6)) else {
            return Err(ReadError::InvalidLength { claimed: length, received: response.len() });
        };
        // Other messages are left over from an earlier request whose responses were not read to the end.
        if u32_at(response, 8) == Some(sequence) {
            if flags & NLM_F_DUMP_INTR != 0 {
                *pass = Pass::Interrupted;
            }
            match u16_at(response, 4) {
                Some(NLMSG_DONE) => return check_status(message).map(|()| Progress::Done),
                Some(NLMSG_ERROR) => check_status(message)?,
                Some(SOCK_DIAG_BY_FAMILY) => {
                    if let Some(socket) = parse_socket(message)? {
                        visit(&socket);
                    }
                }
                _ => {}
            }
        }
        response = response.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(Progress::MoreToCome)
}

/// Checks the error number with which a dump ends: 0, or the negative of an `errno`.
fn check_status(message: &[u8]) -> Result<(), ReadError> {
    match u32_at(message, 0).map_or(0, u32::cast_signed) {
        0.. => Ok(()),
        error => {
            let error = io::Error::from_raw_os_error(error.saturating_neg());
            Err(ReadError::io("requesting sockets by netlink")(error))
        }
    }
}

/// Parses the description of a socket; returns `None` if its state does not matter for counting.
fn parse_socket(message: &[u8]) -> Result<Option<Socket>, ReadError> {
    let header = InetResponseHeader::parse(message).map_err(ReadError::undecodable)?;
    let state = match header.state {
        TCP_ESTABLISHED => State::Established,
        TCP_SYN_SENT => State::Opening,
        TCP_LISTEN => State::Listening,
        TCP_CLOSE_WAIT => State::EndedByRemote,
        TCP_FIN_WAIT1 | TCP_FIN_WAIT2 => State::EndedHere,
        _ => return Ok(None),
    };
    let mut traffic = Traffic::default();
    for attribute in NlasIterator::new(message.get(INET_DIAG_MSG_BYTES..).unwrap_or_default()) {
        let attribute = attribute.map_err(ReadError::undecodable)?;
        if attribute.kind() == INET_DIAG_INFO {
            traffic = parse_tcp_info(attribute.value(), header.state);
        }
    }
    let id = header.socket_id;
    Ok(Some(Socket {
        identity: u64::from_ne_bytes(id.cookie),
        local: canonical(SocketAddr::new(id.source_address, id.source_port)),
        remote: canonical(SocketAddr::new(id.destination_address, id.destination_port)),
        state,
        inode: header.inode,
        user: header.uid,
        traffic,
    }))
}

/// Parses `tcp_info` of `linux/tcp.h`. The struct only ever grows at its end, so an old kernel sends less of it;
/// missing fields are zero.
fn parse_tcp_info(info: &[u8], state: u8) -> Traffic {
    const RTT_OFFSET: usize = 68; // microseconds
    const TOTAL_RETRANS_OFFSET: usize = 100;
    const BYTES_ACKED_OFFSET: usize = 120;
    const BYTES_RECEIVED_OFFSET: usize = 128;
    // The kernel counts the SYN as the first acknowledged byte, and a FIN as the last byte of its side.
    let (fin_acknowledged, fin_received) = (u64::from(state == TCP_FIN_WAIT2), u64::from(state == TCP_CLOSE_WAIT));
    let acknowledged = u64_at(info, BYTES_ACKED_OFFSET).unwrap_or(0).saturating_sub(1 + fin_acknowledged);
    let received = u64_at(info, BYTES_RECEIVED_OFFSET).unwrap_or(0).saturating_sub(fin_received);
    Traffic {
        bytes: acknowledged.saturating_add(received),
        received,
        retransmits: u32_at(info, TOTAL_RETRANS_OFFSET).unwrap_or(0),
        rtt: u32_at(info, RTT_OFFSET).filter(|rtt| *rtt > 0).map(|rtt| Duration::from_micros(rtt.into())),
    }
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(offset..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(offset..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(*bytes.get(offset..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Chain;

    fn message(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(MESSAGE_HEADER_BYTES + payload.len()).unwrap();
        let parts: [&[u8]; 6] = [
            &length.to_ne_bytes(),
            &kind.to_ne_bytes(),
            &flags.to_ne_bytes(),
            &sequence.to_ne_bytes(),
            &[0; 4],
            payload,
        ];
        parts.concat()
    }

    fn read_one(response: &[u8]) -> (Result<Progress, ReadError>, Pass) {
        let mut pass = Pass::Consistent;
        (read(response, 7, &mut pass, &mut |_| {}), pass)
    }

    #[test]
    fn an_interrupted_response_is_noticed() {
        let (progress, pass) = read_one(&message(NLMSG_DONE, 0, 7, &[0; 4]));
        assert_eq!((progress.unwrap(), pass), (Progress::Done, Pass::Consistent));
        let (progress, pass) = read_one(&message(NLMSG_DONE, NLM_F_DUMP_INTR, 7, &[0; 4]));
        assert_eq!((progress.unwrap(), pass), (Progress::Done, Pass::Interrupted));
    }

    #[test]
    fn the_rest_of_an_earlier_response_is_skipped() {
        let late = message(NLMSG_ERROR, NLM_F_DUMP_INTR, 6, &(-2i32).to_ne_bytes());
        let (progress, pass) = read_one(&[late, message(NLMSG_DONE, 0, 7, &[0; 4])].concat());
        assert_eq!((progress.unwrap(), pass), (Progress::Done, Pass::Consistent));
    }

    #[test]
    fn an_error_of_the_kernel_is_returned() {
        for kind in [NLMSG_ERROR, NLMSG_DONE] {
            let (progress, _) = read_one(&message(kind, 0, 7, &(-2i32).to_ne_bytes()));
            assert!(Chain(&progress.unwrap_err()).to_string().contains("No such file or directory"));
        }
    }

    #[test]
    fn a_truncated_response_is_an_error() {
        let complete = message(SOCK_DIAG_BY_FAMILY, 0, 7, &[2; 72]);
        for length in [5, 15, 40, complete.len() - 1] {
            let mut cut = complete[..length].to_vec();
            assert!(read_one(&cut).0.is_err(), "{length} bytes");
            if length > 4 {
                cut[..4].copy_from_slice(&u32::try_from(length).unwrap().to_ne_bytes());
                assert!(read_one(&cut).0.is_err(), "{length} bytes that claim to be complete");
            }
        }
    }

    #[test]
    fn a_short_tcp_info_of_an_old_kernel_gives_what_it_has() {
        let mut info = vec![0; 104];
        info[68..72].copy_from_slice(&250u32.to_ne_bytes());
        info[100..104].copy_from_slice(&3u32.to_ne_bytes());
        let expected = Traffic { retransmits: 3, rtt: Some(Duration::from_micros(250)), ..Traffic::default() };
        assert_eq!(parse_tcp_info(&info, TCP_ESTABLISHED), expected);
    }
}
