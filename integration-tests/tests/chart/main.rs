//! The chart keeps its promises: most tests read what Helm renders, and some ask a real API server, Traefik or ilb.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod access;
mod api_server;
mod closing;
mod documents;
mod exposure;
mod monitoring;
mod network;
mod parent;
mod pools;
mod predecessor;
mod refusals;
mod releases;
mod replaced_pods;
mod scale;
mod services;
mod settings;
mod siblings;
mod traefik;
mod values;
mod versions;
mod workload;
mod zones;
