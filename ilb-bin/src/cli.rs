//! The command line: its subcommands, and how the process exits.
//!
//! Each subcommand is a module with two functions: `command` describes it for the parser and the help, `execute` runs it.

mod admin_client;
mod bundle;
mod check;
mod closer;
mod completions;
mod connections;
mod format;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod inputs;
mod man;
mod output;
mod plan;
mod remote;
mod run;
mod status;
mod suggested;
mod terminal;
mod together;
mod top;
mod version;
mod view;

use std::process::ExitCode;

use clap::{ArgMatches, Command};

use crate::exit::{EXIT_CODES, Exit, Failure};

/// A subcommand: its description, and the function that executes it.
struct Subcommand {
    command: fn() -> Command,
    execute: fn(&ArgMatches) -> Result<Exit, Failure>,
}

/// All subcommands, in the order of the help.
const SUBCOMMANDS: &[Subcommand] = &[
    Subcommand { command: run::command, execute: run::execute },
    Subcommand { command: check::command, execute: check::execute },
    Subcommand { command: plan::command, execute: plan::execute },
    Subcommand { command: status::command, execute: status::execute },
    Subcommand { command: top::command, execute: top::execute },
    Subcommand { command: connections::command, execute: connections::execute },
    Subcommand { command: bundle::command, execute: bundle::execute },
    Subcommand { command: closer::command, execute: closer::execute },
    Subcommand { command: version::command, execute: version::execute },
    Subcommand { command: completions::command, execute: |matches| completions::execute(matches, command()) },
    Subcommand { command: man::command, execute: |_| man::execute(command()) },
];

/// Executes the command line of this process, and returns its exit code.
pub fn main() -> ExitCode {
    // Exits with 0 after `--help` and with 2 on a usage error.
    let command_line = if remote::is_plugin() { command().bin_name("kubectl ilb") } else { command() };
    let matches = command_line.get_matches();
    // Everything in this process that uses TLS shares this provider. Installing it fails only if there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let result = match matches.subcommand() {
        None => run::execute(&matches),
        Some((name, matches)) => match SUBCOMMANDS.iter().find(|one| (one.command)().get_name() == name) {
            Some(subcommand) => (subcommand.execute)(matches),
            None => Err(Failure::Failed(anyhow::anyhow!("{name} is not a command"))),
        },
    };
    result.unwrap_or_else(Failure::report).into()
}

/// Describes the whole command line.
fn command() -> Command {
    Command::new("ilb")
        .about("Internal TCP load balancer for Kubernetes: keeps Traefik's configuration up to date")
        .long_about(
            "Internal TCP load balancer for Kubernetes. Discovers the ready pods of a label selector, counts the \
             connections to each, and keeps the configuration of the Traefik beside it up to date, so that each new \
             connection goes to a least loaded pod.\n\nWithout a command, `ilb run` is executed.",
        )
        .version(version::VERSION)
        .subcommand_required(false)
        .args_conflicts_with_subcommands(true)
        .args(run::flags())
        .subcommands(SUBCOMMANDS.iter().map(|subcommand| (subcommand.command)()))
        .after_help("Example: POD_LABELS=app=my-app ilb run\n\n`ilb COMMAND --help` shows the flags of a command.")
        .after_long_help(format!(
            "Example:\n  POD_LABELS=app=my-app BACKEND_PORT=5432 ilb run\n\nExit codes:\n{EXIT_CODES}"
        ))
}

#[cfg(test)]
mod tests;
