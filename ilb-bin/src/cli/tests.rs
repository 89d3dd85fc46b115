//! Tests of the command line as a whole.

use rstest::rstest;

use super::*;

#[test]
fn the_command_line_is_consistent_with_itself() {
    command().debug_assert();
}

#[test]
fn each_command_has_an_example() {
    for subcommand in command().get_subcommands() {
        let help = subcommand.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(help.starts_with("Example: "), "{}", subcommand.get_name());
        assert!(help.contains(&format!("ilb {}", subcommand.get_name())), "{help}");
    }
}

#[rstest]
#[case(&["ilb", "tun"], "run")]
#[case(&["ilb", "version", "-o", "xml"], "json")]
fn an_invalid_command_line_is_refused_with_the_usage_code_and_a_hint(#[case] line: &[&str], #[case] hint: &str) {
    let error = command().try_get_matches_from(line).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains(hint), "{error}");
}

#[test]
fn the_document_names_all_commands_and_exit_codes() {
    let document = include_str!("../../../docs/cli.md");
    for subcommand in command().get_subcommands() {
        assert!(document.contains(&format!("`ilb {}", subcommand.get_name())), "{}", subcommand.get_name());
    }
    for line in EXIT_CODES.lines() {
        let (code, meaning) = line.trim().split_once("  ").unwrap();
        assert!(document.contains(&format!("| {code} | {meaning} |")), "{line}");
    }
}
