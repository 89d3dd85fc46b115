//! Who is connected to whom through Traefik, and who was: the document of `/connections`, and the log of connections.
//!
//! The kernel is only asked when somebody looks, or while the log is on.

mod document;
mod log;
mod query;
mod rate;
mod snapshot;
mod table;

pub(crate) use self::{
    document::{ConnectionPage, ConnectionRow, ConnectionState},
    log::ConnectionLog,
    query::{MAX_ROWS, Query, SortBy},
    table::{ConnectionTable, Failure, Source},
};
