//! The flags of all commands that read the settings.

use std::io::IsTerminal;

use clap::{Arg, ArgMatches, builder::PathBufValueParser};

use super::suggested::Suggested;
use crate::settings::{ClusterChoice, Inputs, KEYS, Key};

/// Flags that the short help shows.
const COMMON_FLAGS: [&str; 5] = ["selector", "namespaces", "backend-port", "traefik-urls", "log-level"];

/// Describes the flag of each setting, and `--config`.
pub(super) fn flags() -> Vec<Arg> {
    let file = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(PathBufValueParser::new())
        .help("Settings file (also ILB_CONFIG)");
    let context = Arg::new("context")
        .long("context")
        .value_name("CONTEXT")
        .help("Context of the kubeconfig [default: the current one, and in a pod its service account]");
    let kubeconfig = Arg::new("kubeconfig")
        .long("kubeconfig")
        .value_name("FILE")
        .value_parser(PathBufValueParser::new())
        .help("Kubeconfig [default: that of KUBECONFIG or ~/.kube/config, and in a pod none]");
    [file, kubeconfig, context].into_iter().chain(KEYS.iter().map(flag)).collect()
}

/// Flags with a letter of their own, as kubectl has them.
const SHORT_FLAGS: [(&str, char); 3] = [("selector", 'l'), ("namespaces", 'n'), ("all-namespaces", 'A')];

fn flag(key: &Key) -> Arg {
    let name = key.flag();
    let values = key.values();
    let about = key.about().trim_end_matches('.');
    let arg = Arg::new(name.clone())
        .hide_short_help(!COMMON_FLAGS.contains(&name.as_str()))
        .value_name("VALUE")
        .help(format!("{about} [default: {}]", key.default_text()))
        .long_help(format!(
            "{about}.\nAccepted: {}. Default: {}. Also {}, or {} in the file.",
            key.form(),
            key.default_text(),
            key.variables().join(", "),
            key.path()
        ))
        .help_heading("Settings");
    let arg = match SHORT_FLAGS.iter().find(|(long, _)| *long == name) {
        Some((_, short)) => arg.short(*short),
        None => arg,
    };
    let arg = match values {
        [] => arg,
        values => arg.value_parser(Suggested(values)).hide_possible_values(true),
    };
    // `--watch` is `--watch true`.
    let arg = if key.is_boolean() { arg.num_args(0..=1).default_missing_value("true") } else { arg };
    arg.long(name)
}

/// Collects the flags and the environment of this process.
pub(super) fn from_matches(matches: &ArgMatches) -> Inputs {
    let variables = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.to_string_lossy().into())));
    let names = KEYS.iter().map(Key::flag);
    Inputs {
        file: matches.get_one("config").cloned(),
        variables: variables.collect(),
        flags: names.filter_map(|name| Some((name.clone(), matches.get_one::<String>(&name)?.clone()))).collect(),
        cluster: ClusterChoice {
            kubeconfig: matches.get_one("kubeconfig").cloned(),
            context: matches.get_one("context").cloned(),
        },
        terminal: std::io::stderr().is_terminal(),
    }
}
