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

#[test]
fn the_help_of_a_setting_has_its_default_its_values_and_its_variables() {
    let mut line = command();
    let help = line.find_subcommand_mut("run").unwrap().render_long_help().to_string();
    let help: String = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let part = "Accepted: leastconn or roundrobin. Default: leastconn. Also ILB_METHOD, LB_METHOD, or pools[].method";
    assert!(help.contains(part), "{help}");
}

#[rstest]
#[case(&["ilb", "help"], "Usage: ilb")]
#[case(&["ilb", "help", "plan"], "Show what would be pushed")]
fn help_is_a_command_too(#[case] line: &[&str], #[case] part: &str) {
    let shown = command().try_get_matches_from(line).unwrap_err();
    assert_eq!(shown.exit_code(), 0);
    assert!(shown.to_string().contains(part), "{shown}");
}

#[rstest]
#[case(&["ilb", "plan", "-l", "app=a", "-n", "apps"], &[("selector", "app=a"), ("namespaces", "apps")])]
#[case(&["ilb", "plan", "-A", "--watch", "--selector", "a=b"], &[("all-namespaces", "true"), ("watch", "true")])]
#[case(&["ilb", "plan", "--watch", "false"], &[("watch", "false")])]
fn flags_have_letters_and_switches_need_no_value(#[case] line: &[&str], #[case] expected: &[(&str, &str)]) {
    let matches = command().try_get_matches_from(line).unwrap();
    let (_, matches) = matches.subcommand().unwrap();
    for (name, value) in expected {
        assert_eq!(matches.get_one::<String>(name).map(String::as_str), Some(*value), "{name}");
    }
}

#[test]
fn completions_offer_the_values_of_settings() {
    let mut script = Vec::new();
    clap_complete::generate(clap_complete::Shell::Bash, &mut command(), "ilb", &mut script);
    let script = String::from_utf8(script).unwrap();
    for values in ["leastconn roundrobin", "debug info warn error", "prefer-ipv4 prefer-ipv6"] {
        assert!(script.contains(values), "{values}");
    }
}
