//! The flags of all commands that need settings.

use std::io::IsTerminal;

use clap::{Arg, ArgMatches, builder::PathBufValueParser};

use crate::settings::{Inputs, KEYS};

/// Those that the short help shows.
const COMMON: [&str; 5] = ["selector", "namespaces", "backend-port", "traefik-urls", "log-level"];

pub(super) fn flags() -> Vec<Arg> {
    let file = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(PathBufValueParser::new())
        .help("The file with the settings (also ILB_CONFIG)");
    let of_key = |key: &'static crate::settings::Key| {
        let flag = key.flag();
        Arg::new(flag.clone())
            .hide_short_help(!COMMON.contains(&flag.as_str()))
            .long(flag)
            .value_name("VALUE")
            .help(key.about().trim_end_matches('.'))
            .help_heading("Settings")
    };
    std::iter::once(file).chain(KEYS.iter().map(of_key)).collect()
}

/// What this process was given.
pub(super) fn of(matches: &ArgMatches) -> Inputs {
    let variables = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.to_string_lossy().into())));
    let given = KEYS.iter().map(crate::settings::Key::flag);
    Inputs {
        file: matches.get_one("config").cloned(),
        variables: variables.collect(),
        flags: given.filter_map(|flag| Some((flag.clone(), matches.get_one::<String>(&flag)?.clone()))).collect(),
        terminal: std::io::stderr().is_terminal(),
    }
}
