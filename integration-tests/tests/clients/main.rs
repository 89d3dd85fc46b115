//! Clients of ilb reach ready pods only, and nothing that happens to pods, API server or ilb cuts a connection.

mod api_server_outage;
mod half_close;
mod ilb_restart;
mod no_backends;
mod own_addresses;
mod readiness;
mod unchanged_sets;
