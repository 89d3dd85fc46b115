//! Whatever happens to a real API server or to the way to it, `ilb-discovery` knows the backends.

mod black_hole;
mod broken_connections;
mod endpoint_slices;
mod namespaces;
mod permissions;
mod restarts;
