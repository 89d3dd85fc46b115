//! Which answers are believed, and what the own one says.

use std::collections::BTreeSet;

use rstest::rstest;

use super::*;

const REPLICA: ReplicaId = ReplicaId::new(0x8f14_e45f_ceea_467f_a8c1_0d2a_6d3c_9b01);
const MS: Duration = Duration::from_millis(1);

fn backend(last: u8) -> SocketAddr {
    ([10, 0, 1, last], 5432).into()
}

fn report(sample: u64, age: Duration) -> Report {
    Report::new(REPLICA, sample, age, 1_234_567, [(backend(4), 31), (backend(5), 29)])
}

fn answer(reports: &OwnReports, now: Instant) -> String {
    reports.answer(&reports.tail().unwrap(), now)
}

#[test]
fn an_answer_says_what_was_reported_and_how_old_it_is_when_it_is_given() {
    let start = Instant::now();
    let mut reports = OwnReports::new(REPLICA, start);
    assert!(reports.set("default", Some(report(7, 3 * MS)), start));
    let text = answer(&reports, start + 20 * MS);
    assert_eq!(
        text,
        concat!(
            r#"{"v":1,"replica":"8f14e45f-ceea-467f-a8c1-0d2a6d3c9b01","sample":1,"age_ms":20,"pools":{"default":"#,
            r#"{"sample":7,"older_ms":3,"born":1234567,"connections":{"10.0.1.4:5432":31,"10.0.1.5:5432":29}}}}"#
        )
    );
    let parsed = Answer::parse(text.as_bytes()).unwrap();
    assert_eq!((parsed.replica, parsed.sample), (REPLICA, 1));
    assert_eq!(parsed.pools, BTreeMap::from([("default".to_owned(), report(7, 23 * MS))]));
}

#[test]
fn each_pool_has_its_own_age_whenever_another_one_was_counted() {
    let start = Instant::now();
    let mut reports = OwnReports::new(REPLICA, start);
    reports.set("a", Some(report(7, Duration::ZERO)), start);
    reports.set("\"b\"\n", Some(report(90, Duration::ZERO)), start + 600 * MS);
    assert!(!reports.set("a", Some(report(7, 700 * MS)), start + 700 * MS), "it has not been counted again");
    let parsed = Answer::parse(answer(&reports, start + 700 * MS).as_bytes()).unwrap();
    let of = |name: &str| (parsed.pools[name].sample, parsed.pools[name].age);
    assert_eq!((parsed.sample, of("a"), of("\"b\"\n")), (2, (7, 700 * MS), (90, 100 * MS)));
}

#[test]
fn a_pool_that_is_gone_or_takes_no_part_is_absent() {
    let start = Instant::now();
    let mut reports = OwnReports::new(REPLICA, start);
    reports.set("a", Some(report(7, Duration::ZERO)), start);
    reports.set("b", Some(report(7, Duration::ZERO)), start);
    assert!(reports.set("a", None, start) && !reports.set("a", None, start));
    let names = |reports: &OwnReports| -> Vec<String> {
        Answer::parse(answer(reports, start).as_bytes()).unwrap().pools.into_keys().collect()
    };
    assert_eq!(names(&reports), ["b"]);
    assert!(!reports.retain(&BTreeSet::from(["b", "c"]), start) && reports.retain(&BTreeSet::from(["c"]), start));
    assert!(names(&reports).is_empty());
    assert_eq!(reports.sample(), 4);
}

#[test]
fn an_answer_without_the_numbers_of_the_pools_has_one_for_all_and_unknown_fields_are_ignored() {
    let text = r#"{"v":1,"replica":"8f14e45f-ceea-467f-a8c1-0d2a6d3c9b01","sample":4711,"age_ms":23,"zone":"a","pools":{
        "default":{"born":1234567,"full":{"10.0.1.4:5432":true},"connections":{"10.0.1.4:5432":31,"10.0.1.5:5432":29}}}}"#;
    let parsed = Answer::parse(text.as_bytes()).unwrap();
    assert_eq!(parsed.pools["default"], report(4711, 23 * MS));
}

#[rstest]
#[case::nothing("")]
#[case::a_page("<html>not found</html>")]
#[case::another_object(r#"{"status":"ok"}"#)]
#[case::cut_off(r#"{"v":1,"replica":"8f14e45f-ceea-467f-a8c1-0d2a6d3c9b01","sample":4711"#)]
#[case::no_identity(r#"{"v":1,"replica":"me","sample":1,"age_ms":0,"pools":{}}"#)]
#[case::a_negative_age(r#"{"v":1,"replica":"8f14e45f-ceea-467f-a8c1-0d2a6d3c9b01","sample":1,"age_ms":-1,"pools":{}}"#)]
#[case::no_address(
    r#"{"v":1,"replica":"8f14e45f-ceea-467f-a8c1-0d2a6d3c9b01","sample":1,"age_ms":1,"pools":{"a":{"born":1,"connections":{"db:5432":1}}}}"#
)]
#[case::a_negative_count(
    r#"{"v":1,"replica":"8f14e45f-ceea-467f-a8c1-0d2a6d3c9b01","sample":1,"age_ms":1,"pools":{"a":{"born":1,"connections":{"10.0.1.4:1":-1}}}}"#
)]
fn nonsense_is_refused(#[case] text: &str) {
    assert!(matches!(Answer::parse(text.as_bytes()), Err(Problem::Unintelligible(_))), "{text}");
}

#[rstest]
#[case(r#"{"v":2,"replica":{"id":7},"all":[]}"#)]
#[case(r#"{"v":2,"replica":"8f14e45f-ceea-467f-a8c1-0d2a6d3c9b01","sample":1,"age_ms":0,"pools":{}}"#)]
fn another_version_is_refused_by_its_number(#[case] text: &str) {
    let problem = Answer::parse(text.as_bytes()).unwrap_err();
    assert_eq!(problem, Problem::OtherVersion(2));
    assert!(problem.to_string().contains("run the same version of ilb in all replicas"), "{problem}");
}

#[test]
fn backends_and_pools_are_bounded() {
    let head = r#"{"v":1,"replica":"8f14e45f-ceea-467f-a8c1-0d2a6d3c9b01","sample":1,"age_ms":0,"pools":{"#;
    let backends = |count: usize| {
        let entries: Vec<String> = (0..count).map(|n| format!(r#""10.{}.{}.1:80":1"#, n / 256, n % 256)).collect();
        format!(r#"{head}"a":{{"born":1,"connections":{{{}}}}}}}}}"#, entries.join(","))
    };
    assert_eq!(Answer::parse(backends(MAX_BACKENDS).as_bytes()).unwrap().pools["a"].connections.len(), MAX_BACKENDS);
    let problem = Answer::parse(backends(MAX_BACKENDS + 1).as_bytes()).unwrap_err();
    assert!(problem.to_string().contains("more than 20000 entries"), "{problem}");
    let pools = |count: usize| {
        let entries: Vec<String> = (0..count).map(|n| format!(r#""{n}":{{"born":1,"connections":{{}}}}"#)).collect();
        format!("{head}{}}}}}", entries.join(","))
    };
    assert_eq!(Answer::parse(pools(MAX_POOLS).as_bytes()).unwrap().pools.len(), MAX_POOLS);
    assert!(Answer::parse(pools(MAX_POOLS + 1).as_bytes()).is_err());
}

#[test]
fn a_thousand_backends_take_25_kilobytes() {
    let mut reports = OwnReports::new(REPLICA, Instant::now());
    let connections = (0..1000_u32).map(|n| (SocketAddr::from(((0x0a64_0000 + n).to_be_bytes(), 5432)), 30));
    reports.set("default", Some(Report::new(REPLICA, 7, MS, 1_234_567, connections)), Instant::now());
    let bytes = answer(&reports, Instant::now()).len();
    assert!((15_000..30_000).contains(&bytes), "{bytes}");
}
