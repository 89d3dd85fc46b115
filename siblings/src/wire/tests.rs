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
    reports.answer(&reports.tail(&Question::for_everything()).unwrap(), Duration::ZERO, now)
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
fn closings_on_purpose_are_reported_and_who_reports_none_has_closed_none() {
    let start = Instant::now();
    let mut reports = OwnReports::new(REPLICA, start);
    for (sample, closed) in [(7, 0), (8, 3)] {
        let report = report(sample, 3 * MS).with_closed_on_purpose(closed);
        assert!(reports.set("default", Some(report.clone()), start));
        let text = answer(&reports, start);
        assert_eq!(text.contains(r#""closed_on_purpose":3,"#), closed == 3, "{text}");
        assert_eq!(Answer::parse(text.as_bytes()).unwrap().pools["default"], report);
    }
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

/// Returns the answer to this question, as it is sent.
fn answer_to(reports: &OwnReports, question: &Question, now: Instant) -> String {
    reports.answer(&reports.tail(question).unwrap(), Duration::ZERO, now)
}

#[test]
fn who_knows_an_answer_gets_what_has_changed_since() {
    let start = Instant::now();
    let mut reports = OwnReports::new(REPLICA, start);
    reports.set("a", Some(report(7, Duration::ZERO)), start);
    reports.set("b", Some(report(9, Duration::ZERO)), start);
    let known = Answer::parse(answer(&reports, start).as_bytes()).unwrap();
    assert!(!reports.has_news_for(&known.next_question()));
    let connections = [(backend(4), 31), (backend(6), 2)];
    reports.set("a", Some(Report::new(REPLICA, 8, Duration::ZERO, 1_234_569, connections)), start + 20 * MS);
    assert!(reports.has_news_for(&known.next_question()));
    let text = reports.answer(&reports.tail(&known.next_question()).unwrap(), 30 * MS, start + 25 * MS);
    assert_eq!(
        text,
        concat!(
            r#"{"v":1,"replica":"8f14e45f-ceea-467f-a8c1-0d2a6d3c9b01","sample":3,"age_ms":5,"held_ms":30,"since":2,"#,
            r#""pools":{"a":{"sample":8,"older_ms":0,"born":1234569,"changes":{"10.0.1.5:5432":0,"10.0.1.6:5432":2}},"#,
            r#""b":{"sample":9,"older_ms":20,"born":1234567,"changes":{}}}}"#
        )
    );
    let parsed = Answer::parse_after(text.as_bytes(), Some(&known)).unwrap();
    assert_eq!((parsed.sample, parsed.held), (3, 30 * MS));
    assert_eq!(parsed.pools["a"].connections, Arc::new(BTreeMap::from(connections)));
    assert!(Arc::ptr_eq(&parsed.pools["b"].connections, &known.pools["b"].connections), "nothing was copied");
}

#[test]
fn who_knows_the_answer_of_another_replica_or_a_later_one_gets_everything() {
    let mut reports = OwnReports::new(REPLICA, Instant::now());
    reports.set("a", Some(report(7, Duration::ZERO)), Instant::now());
    let now = Instant::now();
    for known in [Question::for_changes(ReplicaId::new(1), 1), Question::for_changes(REPLICA, 2)] {
        assert!(reports.has_news_for(&known), "there is no reason to wait");
        assert_eq!(answer_to(&reports, &known, now), answer(&reports, now));
    }
}

#[rstest]
#[case::no_counts(r#"{"born":1}"#, 1)]
#[case::both(r#"{"born":1,"changes":{},"connections":{}}"#, 1)]
#[case::of_another_answer(r#"{"born":1,"changes":{}}"#, 2)]
#[case::a_negative_count(r#"{"born":1,"changes":{"10.0.1.4:1":-1}}"#, 1)]
fn changes_that_were_not_asked_for_are_refused(#[case] pool: &str, #[case] since: u64) {
    let mut reports = OwnReports::new(REPLICA, Instant::now());
    reports.set("a", Some(report(7, Duration::ZERO)), Instant::now());
    let known = Answer::parse(answer(&reports, Instant::now()).as_bytes()).unwrap();
    let text = format!(
        r#"{{"v":1,"replica":"{REPLICA}","sample":5,"age_ms":1,"since":{since},"pools":{{"a":{pool},"b":{{"born":1,"connections":{{}}}}}}}}"#
    );
    for known in [None, Some(&known)] {
        let parsed = Answer::parse_after(text.as_bytes(), known);
        assert!(matches!(parsed, Err(Problem::Unintelligible(_))), "{parsed:?}");
    }
}

#[test]
fn changes_of_a_pool_that_is_not_known_and_those_of_another_replica_are_refused() {
    let mut reports = OwnReports::new(REPLICA, Instant::now());
    reports.set("a", Some(report(7, Duration::ZERO)), Instant::now());
    let known = Answer::parse(answer(&reports, Instant::now()).as_bytes()).unwrap();
    let text = |replica: ReplicaId, pool: &str| {
        let pools = format!(r#"{{"{pool}":{{"born":1,"changes":{{}}}}}}"#);
        format!(r#"{{"v":1,"replica":"{replica}","sample":5,"age_ms":1,"since":1,"pools":{pools}}}"#)
    };
    let parse = |text: String| Answer::parse_after(text.as_bytes(), Some(&known));
    assert!(parse(text(REPLICA, "a")).is_ok());
    for text in [text(REPLICA, "b"), text(ReplicaId::new(1), "a")] {
        assert!(matches!(parse(text), Err(Problem::Unintelligible(_))));
    }
}

/// Returns the answer by which a sibling says that these of its backends have changed, in each of these pools.
fn growing(known: Option<&Answer>, pools: usize, backends: std::ops::Range<usize>) -> Result<Answer, Problem> {
    let counts: Vec<String> =
        backends.map(|n| format!(r#""{}.{}.{}.1:1":1"#, n >> 16, n >> 8 & 255, n & 255)).collect();
    let field = if known.is_some() { "changes" } else { "connections" };
    let pool = |name| format!(r#""{name}":{{"born":1,"{field}":{{{}}}}}"#, counts.join(","));
    let (sample, pools) = (known.map_or(1, |known| known.sample + 1), (0..pools).map(pool).collect::<Vec<_>>());
    let since = known.map_or(String::new(), |known| format!(r#""since":{},"#, known.sample));
    let text = format!(
        r#"{{"v":1,"replica":"{REPLICA}","sample":{sample},"age_ms":0,{since}"pools":{{{}}}}}"#,
        pools.join(",")
    );
    Answer::parse_after(text.as_bytes(), known)
}

#[test]
fn changes_make_an_answer_no_larger_than_a_complete_one_can_be() {
    let one = growing(None, 1, 0..MAX_BACKENDS).unwrap();
    assert_eq!(growing(Some(&one), 1, 0..10).unwrap().pools["0"].connections.len(), MAX_BACKENDS);
    let problem = growing(Some(&one), 1, MAX_BACKENDS..MAX_BACKENDS + 1).unwrap_err();
    assert!(problem.to_string().contains("more backends than a complete answer may have"), "{problem}");
    // In many pools there are fewer backends than one may have, and still too many.
    let (pools, step) = (100, 1_000);
    let mut known = growing(None, pools, 0..step).unwrap();
    let problem = loop {
        let from = known.counts() / pools;
        match growing(Some(&known), pools, from..from + step) {
            Ok(answer) => known = answer,
            Err(problem) => break problem,
        }
        assert!(known.counts() <= MAX_COUNTS);
    };
    assert!(problem.to_string().contains("counts"), "{problem}");
    assert!(known.counts() + pools * step > MAX_COUNTS, "{} are refused too early", known.counts());
}

proptest::proptest! {
    /// Whoever asks whenever, for everything or for what has changed, knows what is true.
    #[test]
    fn changes_add_up_to_the_complete_answer(
        steps in proptest::collection::vec((0..3_usize, proptest::option::of(proptest::collection::btree_map(0..60_u8, 0..3_u32, 0..40)), 0..4_usize), 1..60)
    ) {
        let now = Instant::now();
        let mut reports = OwnReports::new(REPLICA, now);
        let mut known: [Option<Answer>; 3] = Default::default();
        for (sample, (pool, counts, asking)) in (1..).zip(steps) {
            let report = counts.map(|counts| {
                let counts = counts.into_iter().filter(|(_, count)| *count > 0);
                Report::new(REPLICA, sample, Duration::ZERO, sample, counts.map(|(last, count)| (backend(last), count)))
            });
            reports.set(["a", "b", "c"][pool], report, now);
            if let Some(known) = known.get_mut(asking) {
                let question = known.as_ref().map_or_else(Question::for_everything, Answer::next_question);
                let text = answer_to(&reports, &question, now);
                let answer = Answer::parse_after(text.as_bytes(), known.as_ref()).unwrap();
                proptest::prop_assert_eq!(&answer, &Answer::parse(answer_to(&reports, &Question::for_everything(), now).as_bytes()).unwrap());
                *known = Some(answer);
            }
        }
    }
}
