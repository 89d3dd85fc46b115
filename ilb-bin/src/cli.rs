//! The command line: what can be asked for, and how the process ends.
//!
//! Each command is a module: the form that the parser and the documents know, and what it does.

mod check;
mod completions;
mod format;
mod inputs;
mod instance;
mod man;
mod output;
mod plan;
mod run;
mod status;
mod terminal;
mod top;
mod version;
mod view;

use std::process::ExitCode;

use clap::{ArgMatches, Command};

use crate::exit::{EXIT_CODES, Exit, Failure};

/// A command.
struct Verb {
    form: fn() -> Command,
    execute: fn(&ArgMatches) -> Result<Exit, Failure>,
}

/// All commands, in the order of the help.
const VERBS: &[Verb] = &[
    Verb { form: run::form, execute: run::execute },
    Verb { form: check::form, execute: check::execute },
    Verb { form: plan::form, execute: plan::execute },
    Verb { form: status::form, execute: status::execute },
    Verb { form: top::form, execute: top::execute },
    Verb { form: version::form, execute: version::execute },
    Verb { form: completions::form, execute: completions::execute },
    Verb { form: man::form, execute: man::execute },
];

/// Does what the command line says.
pub(crate) fn main() -> ExitCode {
    // Asked for help it ends here with 0, and with 2 when nobody can understand it.
    let matches = form().get_matches();
    // All that may speak TLS share one provider per process; nobody has installed one before us.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let done = match matches.subcommand() {
        None => run::execute(&matches),
        Some((name, matches)) => match VERBS.iter().find(|verb| (verb.form)().get_name() == name) {
            Some(verb) => (verb.execute)(matches),
            None => Err(Failure::Failed(anyhow::anyhow!("{name} is no command"))),
        },
    };
    done.unwrap_or_else(Failure::tell).into()
}

/// The whole command line.
fn form() -> Command {
    Command::new("ilb")
        .about("Keeps a Traefik beside it balancing TCP connections over the ready pods of a selector")
        .long_about(
            "Keeps a Traefik beside it balancing TCP connections over the ready pods that a label selector selects, each \
             new one to a least loaded pod.\n\nWithout a command it is `ilb run`.",
        )
        .version(version::SHORT)
        .subcommand_required(false)
        .args_conflicts_with_subcommands(true)
        .args(run::flags())
        .subcommands(VERBS.iter().map(|verb| (verb.form)()))
        .disable_help_subcommand(true)
        .after_help("Example: POD_LABELS=app=my-app ilb run\n\n`ilb COMMAND --help` shows more of each command.")
        .after_long_help(format!(
            "Example:\n  POD_LABELS=app=my-app BACKEND_PORT=5432 ilb run\n\nExit codes:\n{EXIT_CODES}"
        ))
}

#[cfg(test)]
mod tests;
