//! What the chart promises, read from what Helm makes of it; `api_server` asks a real API server too.
//!
//! `cfg(test)` tells the lints that the helpers here may unwrap, as the tests that they help.

#[cfg(test)]
mod access;
#[cfg(test)]
mod api_server;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod exposure;
#[cfg(test)]
mod monitoring;
#[cfg(test)]
mod network;
#[cfg(test)]
mod pools;
#[cfg(test)]
mod predecessor;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod scale;
#[cfg(test)]
mod settings;
#[cfg(test)]
mod traefik;
#[cfg(test)]
mod values;
#[cfg(test)]
mod versions;
#[cfg(test)]
mod workload;
