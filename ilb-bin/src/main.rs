//! `ilb`: keeps a Traefik beside it balancing TCP connections over the ready pods that a label selector selects.

mod admin;
mod balancing;
mod certificate;
mod cli;
mod cluster;
mod controller;
mod crash;
mod eyes;
mod follow;
mod insight;
mod logging;
mod metrics;
mod pools;
mod repeats;
mod report;
mod run;
mod settings;
mod shutdown;
mod sink;

fn main() -> std::process::ExitCode {
    cli::main()
}
