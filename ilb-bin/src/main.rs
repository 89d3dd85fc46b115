//! `ilb`: keeps a Traefik beside it balancing TCP connections over the ready pods that a label selector selects.

mod cli;
mod exit;
mod observe;
mod process;
mod settings;
mod wiring;

fn main() -> std::process::ExitCode {
    cli::main()
}
