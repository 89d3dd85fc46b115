//! The program itself: its settings, commands, probes, metrics, status page, start and end.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod admin_port;
mod api_server_proxy;
mod check_cluster;
mod churn;
mod clock;
mod command_line;
mod configured;
mod connections;
mod health;
mod kubectl_plugin;
mod kubernetes_events;
mod log_reader;
mod metrics;
mod pools_apart;
mod proxy;
mod settings_file;
mod several_traefiks;
mod shutdown;
mod start_order;
mod status_page;
mod status_page_choices;
mod two_writers;
mod wrong_settings;
