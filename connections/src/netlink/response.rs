//! Parses the messages of `sock_diag`.

use std::{io, net::SocketAddr, time::Instant};

use netlink_packet_core::{NLMSG_DONE, NLMSG_ERROR, NlasIterator, Parseable};
use netlink_packet_sock_diag::{
    SOCK_DIAG_BY_FAMILY,
    constants::{
        AF_INET, INET_DIAG_INFO, TCP_CLOSE_WAIT, TCP_CLOSING, TCP_ESTABLISHED, TCP_FIN_WAIT1, TCP_FIN_WAIT2,
        TCP_LAST_ACK, TCP_LISTEN, TCP_SYN_SENT, TCP_TIME_WAIT,
    },
    inet::InetResponseHeader,
};
use rustix::io::Errno;

use crate::{
    error::ReadError,
    netlink::{
        fields::{u16_at, u32_at},
        request::MESSAGE_HEADER_BYTES,
        tcp_info::TcpInfo,
    },
    socket::{Family, Pair, Socket, State, canonical},
};

/// The progress of a dump, which comes in several responses.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    MoreToCome,
    Done,
}

/// A socket that the kernel has destroyed, as it is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Announcement {
    pub(crate) identity: u64,
    pub(super) family: Family,
    pub(crate) pair: Pair,
    /// Bytes in the receive queue that its process has not read; a FIN counts as one.
    pub(super) unread: u32,
    pub(super) info: TcpInfo,
    pub(crate) at: Instant,
}

/// Length of `inet_diag_msg` in `linux/inet_diag.h`, in bytes; the attributes of the socket follow it.
const INET_DIAG_MSG_BYTES: usize = 72;

/// Visits the sockets of one response to a request for a dump with this sequence number.
///
/// The library parses messages and attributes; its type for a whole message is not used because it copies every
/// attribute of every socket to the heap.
pub(crate) fn read_dump(response: &[u8], sequence: u32, visit: &mut dyn FnMut(&Socket)) -> Result<Progress, ReadError> {
    for message in messages(response) {
        let message = message?;
        // Other messages are left over from an earlier request whose responses were not read to the end.
        if message.sequence != sequence {
            continue;
        }
        match message.kind {
            NLMSG_DONE => return error_of(message.payload).map_or(Ok(Progress::Done), |error| Err(refused(error))),
            NLMSG_ERROR => {
                if let Some(error) = error_of(message.payload) {
                    return Err(refused(error));
                }
            }
            SOCK_DIAG_BY_FAMILY => {
                if let Some(socket) = parse_socket(message.payload)? {
                    visit(&socket);
                }
            }
            _ => {}
        }
    }
    Ok(Progress::MoreToCome)
}

/// Takes in the answers of one response to requests for single sockets, whose sequence numbers begin with
/// `first_sequence`, and returns their number. A socket that does not exist stays `None`.
pub(crate) fn read_exact(
    response: &[u8],
    first_sequence: u32,
    found: &mut [Option<Socket>],
) -> Result<usize, ReadError> {
    let mut answers = 0;
    for message in messages(response) {
        let message = message?;
        let index = usize::try_from(message.sequence.wrapping_sub(first_sequence)).unwrap_or(usize::MAX);
        let Some(found) = found.get_mut(index) else { continue };
        match message.kind {
            NLMSG_ERROR => match error_of(message.payload) {
                Some(Errno::NOENT) | None => answers += 1,
                Some(error) => return Err(refused(error)),
            },
            SOCK_DIAG_BY_FAMILY => {
                *found = parse_socket(message.payload)?;
                answers += 1;
            }
            _ => {}
        }
    }
    Ok(answers)
}

/// Returns the result of the request to destroy a socket with this sequence number; `None` if the response does not have
/// it.
pub(crate) fn read_acknowledgement(response: &[u8], sequence: u32) -> Result<Option<Result<(), Errno>>, ReadError> {
    for message in messages(response) {
        let message = message?;
        if message.sequence == sequence && message.kind == NLMSG_ERROR {
            return Ok(Some(error_of(message.payload).map_or(Ok(()), Err)));
        }
    }
    Ok(None)
}

/// Visits the destroyed sockets that one message of the kernel announces.
pub(crate) fn read_announcements(
    message: &[u8],
    at: Instant,
    visit: &mut dyn FnMut(Announcement),
) -> Result<(), ReadError> {
    for message in messages(message) {
        let message = message?;
        if message.kind == SOCK_DIAG_BY_FAMILY {
            let header = InetResponseHeader::parse(message.payload).map_err(ReadError::undecodable)?;
            visit(Announcement {
                identity: u64::from_ne_bytes(header.socket_id.cookie),
                family: family(&header),
                pair: pair(&header),
                unread: header.recv_queue,
                info: parse_info(message.payload)?.unwrap_or_default(),
                at,
            });
        }
    }
    Ok(())
}

/// A netlink message.
struct Message<'a> {
    kind: u16,
    sequence: u32,
    payload: &'a [u8],
}

/// Iterates over the messages of a response. After an error there are no more.
fn messages(mut response: &[u8]) -> impl Iterator<Item = Result<Message<'_>, ReadError>> {
    std::iter::from_fn(move || {
        let length = usize::try_from(u32_at(response, 0)?).unwrap_or(usize::MAX);
        let received = response.len();
        let rest = std::mem::take(&mut response);
        let message = || {
            let payload = rest.get(MESSAGE_HEADER_BYTES..length)?;
            Some(Message { kind: u16_at(rest, 4)?, sequence: u32_at(rest, 8)?, payload })
        };
        let Some(message) = message() else { return Some(Err(ReadError::InvalidLength { claimed: length, received })) };
        response = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Ok(message))
    })
}

/// Returns the error of a message that ends with 0 or the negative of an `errno`.
fn error_of(payload: &[u8]) -> Option<Errno> {
    /// Number above which no error of the kernel is (`MAX_ERRNO`).
    const MAX_ERRNO: i32 = 4095;
    let status = u32_at(payload, 0)?.cast_signed();
    match status.saturating_neg() {
        ..=0 => None,
        number @ 1..=MAX_ERRNO => Some(Errno::from_raw_os_error(number)),
        _ => Some(Errno::PROTO),
    }
}

fn refused(error: Errno) -> ReadError {
    ReadError::io("requesting sockets by netlink")(io::Error::from(error))
}

/// Parses the description of a socket; returns `None` if its state does not matter for counting.
fn parse_socket(message: &[u8]) -> Result<Option<Socket>, ReadError> {
    let header = InetResponseHeader::parse(message).map_err(ReadError::undecodable)?;
    let state = match header.state {
        TCP_ESTABLISHED => State::Established,
        TCP_SYN_SENT => State::Opening,
        TCP_LISTEN => State::Listening,
        TCP_CLOSE_WAIT | TCP_LAST_ACK => State::EndedByRemote,
        TCP_FIN_WAIT1 | TCP_FIN_WAIT2 | TCP_CLOSING | TCP_TIME_WAIT => State::EndedHere,
        _ => return Ok(None),
    };
    let Pair { local, remote } = pair(&header);
    let info = parse_info(message)?;
    Ok(Some(Socket {
        identity: u64::from_ne_bytes(header.socket_id.cookie),
        family: family(&header),
        local,
        remote,
        state,
        inode: header.inode,
        user: header.uid,
        traffic: info.unwrap_or_default().traffic(header.state),
        activity: info.map(|info| info.activity(&header)),
    }))
}

fn family(header: &InetResponseHeader) -> Family {
    if header.family == AF_INET { Family::V4 } else { Family::V6 }
}

fn pair(header: &InetResponseHeader) -> Pair {
    let id = &header.socket_id;
    Pair {
        local: canonical(SocketAddr::new(id.source_address, id.source_port)),
        remote: canonical(SocketAddr::new(id.destination_address, id.destination_port)),
    }
}

/// Parses the `tcp_info` among the attributes of a socket, if there is one.
fn parse_info(message: &[u8]) -> Result<Option<TcpInfo>, ReadError> {
    for attribute in NlasIterator::new(message.get(INET_DIAG_MSG_BYTES..).unwrap_or_default()) {
        let attribute = attribute.map_err(ReadError::undecodable)?;
        if attribute.kind() == INET_DIAG_INFO {
            return Ok(Some(TcpInfo::parse(attribute.value())));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Chain;

    fn message(kind: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(MESSAGE_HEADER_BYTES + payload.len()).unwrap();
        let parts: [&[u8]; 6] =
            [&length.to_ne_bytes(), &kind.to_ne_bytes(), &[0; 2], &sequence.to_ne_bytes(), &[0; 4], payload];
        parts.concat()
    }

    fn read_one(response: &[u8]) -> Result<Progress, ReadError> {
        read_dump(response, 7, &mut |_| {})
    }

    fn status(errno: i32) -> [u8; 4] {
        (-errno).to_ne_bytes()
    }

    #[test]
    fn the_rest_of_an_earlier_response_is_skipped() {
        let late = message(NLMSG_ERROR, 6, &status(2));
        assert_eq!(read_one(&[late, message(NLMSG_DONE, 7, &[0; 4])].concat()).unwrap(), Progress::Done);
    }

    #[test]
    fn an_error_of_the_kernel_is_returned() {
        for kind in [NLMSG_ERROR, NLMSG_DONE] {
            let error = read_one(&message(kind, 7, &status(2))).unwrap_err();
            assert!(Chain(&error).to_string().contains("No such file or directory"));
        }
    }

    #[test]
    fn a_truncated_response_is_an_error() {
        let complete = message(SOCK_DIAG_BY_FAMILY, 7, &[2; 72]);
        for length in [5, 15, 40, complete.len() - 1] {
            let mut cut = complete[..length].to_vec();
            assert!(read_one(&cut).is_err(), "{length} bytes");
            if length > 4 {
                cut[..4].copy_from_slice(&u32::try_from(length).unwrap().to_ne_bytes());
                assert!(read_one(&cut).is_err(), "{length} bytes that claim to be complete");
            }
        }
    }

    #[test]
    fn only_the_answer_to_the_own_request_is_an_acknowledgement() {
        let response = [message(NLMSG_ERROR, 6, &status(0)), message(NLMSG_ERROR, 7, &status(1))].concat();
        assert_eq!(read_acknowledgement(&response, 7).unwrap(), Some(Err(Errno::PERM)));
        assert_eq!(read_acknowledgement(&response, 6).unwrap(), Some(Ok(())));
        assert_eq!(read_acknowledgement(&response, 8).unwrap(), None);
        assert!(read_acknowledgement(&response[..10], 6).is_err());
    }

    #[test]
    fn a_missing_socket_is_an_answer_and_any_other_error_is_none() {
        let mut found = [None; 2];
        let response = [message(NLMSG_ERROR, 8, &status(2)), message(NLMSG_ERROR, 9, &status(2))].concat();
        assert_eq!(read_exact(&response, 7, &mut found).unwrap(), 1, "only 7 and 8 were asked for");
        assert_eq!(found, [None; 2]);
        assert!(read_exact(&message(NLMSG_ERROR, 7, &status(1)), 7, &mut found).is_err());
    }
}
