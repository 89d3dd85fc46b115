//! What the fuzz targets call: parsers of settings, and of what another ilb answers.

pub use crate::{cli::fuzzing::status, settings::fuzzing::settings};

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("settings", settings)]
    #[case("status", status)]
    fn the_corpus_is_survived(#[case] name: &str, #[case] target: fn(&[u8])) {
        ilb_fuzz_replay::replay(name, target);
    }
}
