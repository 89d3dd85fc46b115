use clap::{Arg, ArgMatches, builder::PossibleValuesParser};

/// The form of what a command prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// For a person.
    Table,
    /// For a program.
    Json,
}

const FLAG: &str = "output";

impl Format {
    /// `-o json`
    pub(super) fn flag() -> Arg {
        Arg::new(FLAG)
            .short('o')
            .long("output")
            .value_name("FORMAT")
            .help("How to print it")
            .value_parser(PossibleValuesParser::new(["table", "json"]))
            .default_value("table")
    }

    pub(super) fn of(matches: &ArgMatches) -> Self {
        match matches.get_one::<String>(FLAG).map(String::as_str) {
            Some("json") => Self::Json,
            _ => Self::Table,
        }
    }
}
