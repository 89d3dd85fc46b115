//! The rules by which connections are closed, and the combinations that are refused.

use rstest::rstest;

use super::*;
use crate::settings::{Inputs, Settings};

/// Returns the rules of a pool with these variables, or the problems.
fn rules(variables: &[(&str, &str)]) -> Result<ClosingPolicy, String> {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let mut variables: Vec<_> = variables.iter().map(own).collect();
    if !variables.iter().any(|(name, _)| ["ILB_SERVICE", "ILB_BACKENDS_FILE"].contains(&name.as_str())) {
        variables.push(("ILB_SELECTOR".to_owned(), "app=a".to_owned()));
    }
    let settings = Settings::load(&Inputs { variables, ..Inputs::default() });
    settings.map(|settings| settings.pools[0].closing.clone()).map_err(|problems| problems.to_string())
}

#[test]
fn nothing_is_closed_unless_that_is_switched_on() {
    assert_eq!(rules(&[]), Ok(ClosingPolicy::default()));
}

/// The library documents them too, for those who embed it.
#[test]
fn the_defaults_are_those_of_the_library() {
    let on = rules(&[
        ("ILB_CLOSING_REBALANCE_ENABLED", "true"),
        ("ILB_CLOSING_DRAIN_ENABLED", "true"),
        ("ILB_CLOSING_ON_SELECTOR_LEFT", "close"),
        ("ILB_CLOSING_MAX_AGE", "12h"),
    ]);
    let expected = ClosingPolicy {
        rebalance: Some(Rebalance::default()),
        drain: Some(Drain::default()),
        role: Some(Role::default()),
        age: Some(Age::new(Duration::from_secs(12 * 3600))),
        ..ClosingPolicy::default()
    };
    assert_eq!(on, Ok(expected));
}

#[test]
fn a_share_may_have_a_decimal() {
    let rate = |text| {
        let rules = rules(&[("ILB_CLOSING_REBALANCE_ENABLED", "true"), ("ILB_CLOSING_REBALANCE_RATE", text)]);
        rules.map(|rules| rules.rebalance.unwrap().rate_permille)
    };
    assert_eq!((rate("0.5%"), rate("12.3%"), rate("100%")), (Ok(5), Ok(123), Ok(1000)));
    for text in ["0%", "0.05%", "100.1%", "5", "%", ".5%", "99999999999%", "1.+5%"] {
        assert!(rate(text).unwrap_err().contains("give a share such as 0.5%"), "{text}");
    }
}

#[rstest]
#[case::round_robin(
    &[("ILB_CLOSING_REBALANCE_ENABLED", "true"), ("LB_METHOD", "roundrobin")],
    "LB_METHOD does not fit the rules under closing"
)]
#[case::several_traefiks(
    &[("ILB_CLOSING_MAX_AGE", "1h"), ("TRAEFIK_API_URL", "http://a:1,http://b:1")],
    "do not fit several Traefiks"
)]
#[case::seldom_counted(&[("ILB_CLOSING_MAX_AGE", "1h"), ("UPDATE_INTERVAL", "1m")], "connections would be counted so seldom")]
#[case::seldom_listed(
    &[("ILB_CLOSING_MAX_AGE", "1h"), ("UPDATE_INTERVAL", "1m"), ("USE_WATCH", "false")],
    "or set USE_WATCH to true"
)]
#[case::ends_where_it_begins(
    &[("ILB_CLOSING_REBALANCE_ENABLED", "true"), ("ILB_CLOSING_REBALANCE_STOP_AT", "20%")],
    "(20 % is not less than 20 %)"
)]
#[case::role_of_a_service(
    &[("ILB_CLOSING_ON_SELECTOR_LEFT", "close"), ("ILB_SERVICE", "db")],
    "ILB_CLOSING_ON_SELECTOR_LEFT=close does not fit a service or a file"
)]
#[case::role_of_a_file(&[("ILB_CLOSING_ON_SELECTOR_LEFT", "close"), ("ILB_BACKENDS_FILE", "a.yaml")], "does not fit a service or a file")]
#[case::role_without_watch(&[("ILB_CLOSING_ON_SELECTOR_LEFT", "close"), ("USE_WATCH", "false")], "a list does not show why")]
#[case::wait_for_nothing(&[("ILB_CLOSING_WAIT_FOR_SUCCESSOR", "1s")], "has no effect without onSelectorLeft: close")]
#[case::age_without_limit(&[("ILB_CLOSING_AGE_GRACE", "1s")], "ILB_CLOSING_AGE_GRACE has no effect without maxAge")]
#[case::alone_without_limit(&[("ILB_CLOSING_EVEN_ALONE", "true")], "ILB_CLOSING_EVEN_ALONE has no effect without maxAge")]
#[case::window_for_nothing(
    &[("ILB_CLOSING_DRAIN_ENABLED", "true"), ("ILB_CLOSING_ONLY", "22:00-05:00")],
    "ILB_CLOSING_ONLY has no effect without rebalance.enabled or maxAge"
)]
fn what_cannot_work_is_refused_with_a_sentence(#[case] variables: &[(&str, &str)], #[case] problem: &str) {
    let problems = rules(variables).unwrap_err();
    assert!(problems.contains(problem), "{problems}");
    assert_eq!(problems.lines().count(), 1, "{problems}");
}

#[test]
fn numbers_may_stay_while_a_rule_is_off() {
    let rules = rules(&[("ILB_CLOSING_REBALANCE_ENABLED", "false"), ("ILB_CLOSING_REBALANCE_MAX_RATE", "50")]);
    assert_eq!(rules, Ok(ClosingPolicy::default()));
}
