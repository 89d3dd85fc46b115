//! The sockets of a process, from `/proc/PID/fd`.

use std::{collections::HashSet, fs, io, os::unix::ffi::OsStrExt};

use crate::error::ReadError;

/// Returns the inodes of the sockets that a process has open.
pub(crate) fn socket_inodes(process_id: u32) -> Result<HashSet<u32>, ReadError> {
    let io = |error| ReadError::io("reading /proc/PID/fd of the process")(error);
    let mut inodes = HashSet::new();
    for entry in fs::read_dir(format!("/proc/{process_id}/fd")).map_err(io)? {
        match fs::read_link(entry.map_err(io)?.path()) {
            Ok(target) => inodes.extend(socket_inode(target.as_os_str().as_bytes())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {} // closed in the meantime
            Err(error) => return Err(io(error)),
        }
    }
    Ok(inodes)
}

/// Returns 31415 for `socket:[31415]`, and `None` for the target of a descriptor that is not a socket.
pub(crate) fn socket_inode(target: &[u8]) -> Option<u32> {
    let number = target.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    str::from_utf8(number).ok()?.parse().ok()
}
