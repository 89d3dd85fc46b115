//! Tests of rules.

use proptest::prelude::*;
use rstest::rstest;

use super::*;

#[rstest]
#[case("HostSNI(`*`)", true)]
#[case("HostSNI(`a.example`) || HostSNI(`*.b.example`)", true)]
#[case("!(HostSNI(`a`) && ClientIP(`10.0.0.0/8`)) || ALPN(`h2`)", true)]
#[case("", false)]
#[case("HostSNI(*)", false)]
#[case("HostSNI(``)", false)]
#[case("HostSNI(`a b`)", false)]
#[case("HostSNI(`*`", false)]
#[case("HostSNI(`*`) extra", false)]
#[case("HostSNI(`*`) && ", false)]
#[case("ClientIP(`10.0.0.0/33`)", false)]
#[case("Host(`a`)", false)]
#[case("PathPrefix(`/`)", false)]
fn a_rule_exists_only_if_it_is_valid(#[case] text: &str, #[case] valid: bool) {
    assert_eq!(text.parse::<Rule>().is_ok(), valid);
}

#[test]
fn text_from_outside_cannot_leave_its_place_in_a_rule() {
    assert!("a`) || HostSNI(`*".parse::<ServerName>().is_err());
    assert!("10.0.0.0/8`) || HostSNI(`*".parse::<IpRange>().is_err());
    assert!(Rule::try_alpn("h2`) || HostSNI(`*").is_err());
}

#[test]
fn brackets_keep_the_meaning() {
    let name = |text: &str| Rule::server_name(&text.parse().unwrap());
    let rule = name("a").or(name("b")).and(name("c").and(name("d")).not());
    assert_eq!(rule.to_string(), "(HostSNI(`a`) || HostSNI(`b`)) && !(HostSNI(`c`) && HostSNI(`d`))");
}

#[test]
fn a_rule_knows_whether_it_reads_the_tls_handshake() {
    assert!(!Rule::any().needs_tls());
    assert!(Rule::any().and("HostSNI(`a`)".parse().unwrap()).needs_tls());
}

#[test]
fn a_hostile_depth_is_refused() {
    assert!(("(".repeat(100_000) + "HostSNI(`*`)").parse::<Rule>().is_err());
    assert!("!".repeat(100_000).parse::<Rule>().is_err());
}

fn rules() -> impl Strategy<Value = Rule> {
    let leaf = prop_oneof![
        Just(Rule::any()),
        "[a-z]{1,5}(\\.[a-z]{1,5})?".prop_map(|name| Rule::server_name(&name.parse().unwrap())),
        any::<IpAddr>().prop_map(Rule::from),
    ];
    leaf.prop_recursive(4, 16, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| a.and(b)),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| a.or(b)),
            inner.prop_map(Rule::not),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(rule in rules()) {
        prop_assert_eq!(rule.to_string().parse::<Rule>().unwrap().to_string(), rule.to_string());
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[HostSNIClePA(`)!|& *.a0-9/]{0,60}") {
        let _ = text.parse::<Rule>();
    }
}
