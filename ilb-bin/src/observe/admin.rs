//! What an operator, the kubelet and a collector of metrics see of a running ilb, over HTTP on one port.
//!
//! Nothing here changes anything, and nothing here waits for anybody else: every answer is made of what is known already.

mod events;
mod page;
mod routes;
mod server;

pub(crate) use self::server::Admin;
