//! `ilb`, an internal TCP load balancer for Kubernetes: keeps the configuration of the Traefik beside it up to date with
//! the ready pods of a label selector.

mod cli;
mod exit;
mod observe;
mod process;
mod settings;
mod wiring;

fn main() -> std::process::ExitCode {
    cli::main()
}
