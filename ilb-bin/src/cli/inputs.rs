//! The flags of all commands that read the settings.

use std::io::IsTerminal;

use clap::{Arg, ArgMatches, builder::PathBufValueParser};

use crate::settings::{Inputs, KEYS, Key};

/// Flags that the short help shows.
const COMMON_FLAGS: [&str; 5] = ["selector", "namespaces", "backend-port", "traefik-urls", "log-level"];

/// Describes the flag of each setting, and `--config`.
pub(super) fn flags() -> Vec<Arg> {
    let file = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(PathBufValueParser::new())
        .help("Settings file (also ILB_CONFIG)");
    std::iter::once(file).chain(KEYS.iter().map(flag)).collect()
}

fn flag(key: &Key) -> Arg {
    let name = key.flag();
    Arg::new(name.clone())
        .hide_short_help(!COMMON_FLAGS.contains(&name.as_str()))
        .long(name)
        .value_name("VALUE")
        .help(key.about().trim_end_matches('.'))
        .help_heading("Settings")
}

/// Collects the flags and the environment of this process.
pub(super) fn from_matches(matches: &ArgMatches) -> Inputs {
    let variables = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.to_string_lossy().into())));
    let names = KEYS.iter().map(Key::flag);
    Inputs {
        file: matches.get_one("config").cloned(),
        variables: variables.collect(),
        flags: names.filter_map(|name| Some((name.clone(), matches.get_one::<String>(&name)?.clone()))).collect(),
        terminal: std::io::stderr().is_terminal(),
    }
}
