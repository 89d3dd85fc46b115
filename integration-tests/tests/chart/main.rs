//! What the chart promises, read from what Helm makes of it; `api_server` asks a real API server too.

mod access;
mod api_server;
mod documents;
mod exposure;
mod monitoring;
mod network;
mod pools;
mod predecessor;
mod refusals;
mod scale;
mod values;
mod versions;
mod workload;
