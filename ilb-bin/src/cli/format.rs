//! The flag `-o`, which selects the output format of a command.

use clap::{Arg, ArgMatches, builder::PossibleValuesParser};

/// Output format of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Text for people.
    Table,
    /// JSON for programs.
    Json,
}

const OUTPUT_FLAG: &str = "output";

impl Format {
    /// Describes the flag `-o`, or `--output`.
    pub(super) fn flag() -> Arg {
        Arg::new(OUTPUT_FLAG)
            .short('o')
            .long(OUTPUT_FLAG)
            .value_name("FORMAT")
            .help("Output format")
            .value_parser(PossibleValuesParser::new(["table", "json"]))
            .default_value("table")
    }

    pub(super) fn from_matches(matches: &ArgMatches) -> Self {
        match matches.get_one::<String>(OUTPUT_FLAG).map(String::as_str) {
            Some("json") => Self::Json,
            _ => Self::Table,
        }
    }
}
