//! `ilb check`: checks the settings and shows the effective ones.

use std::io::{self, Write};

use clap::{Arg, ArgMatches, Command};

use super::{
    format::Format,
    inputs,
    output::{print, print_json},
};
use crate::{
    exit::{Exit, Failure},
    process::runtime::block_on,
    settings::Settings,
    wiring::check_admission,
};

pub(super) fn command() -> Command {
    Command::new("check")
        .about("Check the settings without any connection, and show the effective ones and their origin")
        .arg(Format::flag())
        .arg(
            Arg::new("cluster")
                .long("cluster")
                .value_name("NAMESPACE")
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("")
                .help("Ask the API server, too, whether the namespace admits the closer [default: that of the pod]"),
        )
        .args(inputs::flags())
        .after_help("Example: ilb check --config ilb.yaml")
        .after_long_help(
            "With --cluster it reads the Pod Security level of the namespace that ilb runs in, or will run in: that of this \
             pod, of the kubeconfig's context, or the given one. baseline and restricted do not admit the closer.\n\n\
             Examples:\n  ilb check --config ilb.yaml\n  ilb check --config ilb.yaml --cluster=my-namespace",
        )
}

pub(super) fn execute(matches: &ArgMatches) -> Result<Exit, Failure> {
    let settings = Settings::load(&inputs::from_matches(matches))?;
    match Format::from_matches(matches) {
        Format::Json => print_json(&settings.effective)?,
        Format::Table => print(&settings.table())?,
    }
    for variable in &settings.ignored {
        let _ = writeln!(io::stderr(), "ilb: {variable}");
    }
    if let Some(namespace) = matches.get_one::<String>("cluster") {
        let namespace = Some(namespace.as_str()).filter(|name| !name.is_empty());
        let found = block_on(check_admission(&settings, namespace))?;
        let _ = writeln!(io::stderr(), "ilb: {found}");
    }
    Ok(Exit::Done)
}
