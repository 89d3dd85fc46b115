//! Errors as operators read them: with all their causes.

use std::{error::Error, fmt};

/// Displays an error and its causes, separated by colons.
pub(crate) struct Chain<'a>(pub(crate) &'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            write!(f, ": {cause}")?;
            next = cause.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ilb_connections::ReadError;

    use super::*;

    #[test]
    fn each_cause_is_displayed_once() {
        let error = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        let error = ilb_connections::Error::from(ReadError::Io { operation: "opening a netlink socket", error });
        assert_eq!(
            Chain(&error).to_string(),
            "the kernel's TCP sockets cannot be read any more: opening a netlink socket failed: permission denied"
        );
    }
}
