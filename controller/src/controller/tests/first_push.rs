//! The first push, and the backends that Traefik has of pools that are not known by then.

use ilb_traefik_client::{Configuration, Fleet, Member, TcpPool, fake::FakeSink, fleet::Quorum};

use super::*;
use crate::testing::{PoolsInForce, address};

fn in_force(pools: &[(&str, &[u8])]) -> PoolsInForce {
    let members = |last: &[u8]| last.iter().map(|last| Member::new(address(*last), 7)).collect();
    pools.iter().map(|(name, last)| (name.parse().unwrap(), members(last))).collect()
}

fn answers(running: &Running, answers: impl IntoIterator<Item = Result<PoolsInForce, Error>>) {
    running.script.in_force.lock().unwrap().extend(answers);
}

#[tokio::test(start_paused = true)]
async fn a_pool_whose_backends_are_not_known_keeps_those_that_traefik_has_until_they_are() {
    let started = Instant::now();
    let mut two = Running::two();
    answers(&two, [Ok(in_force(&[("a", &[1]), ("b", &[1, 2, 3]), ("foreign", &[9])]))]);
    two.found_by(0, 2).await;
    let first = two.next_push().await;
    assert_eq!(first.at - started, Controller::MAX_FIRST_PUSH_DELAY);
    assert_eq!(first.members(), [("a".to_owned(), 2), ("b".to_owned(), 3)]);
    let events = two.events_until("Pushed").await;
    assert_eq!(events.iter().filter(|event| **event == "BackendsInherited").count(), 1, "{events:?}");
    two.assert_quiet().await;
    two.found_by(1, 1).await;
    assert_eq!(two.next_push().await.members(), [("a".to_owned(), 2), ("b".to_owned(), 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_backend_keeps_its_shares() {
    let mut running = Running::start([]);
    answers(&running, [Ok(in_force(&[("default", &[1, 1, 1, 2])]))]);
    assert_eq!(running.next_push().await.backends(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_set_that_needs_the_inherited_plan_is_not_pushed_again() {
    let mut running = Running::start([]);
    answers(&running, [Ok(in_force(&[("default", &[0, 1])]))]);
    running.next_push().await;
    running.found(2).await;
    running.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn an_empty_pool_stays_one() {
    let mut running = Running::start([]);
    answers(&running, [Ok(in_force(&[("default", &[])]))]);
    assert_eq!(running.next_push().await.members(), [("default".to_owned(), 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_traefik_that_is_away_is_asked_again_and_nothing_is_pushed_before_its_answer() {
    let started = Instant::now();
    let mut two = Running::two();
    answers(&two, [Err(away()), Err(away()), Ok(in_force(&[("b", &[1])]))]);
    two.found_by(0, 2).await;
    let first = two.next_push().await;
    assert_eq!(first.members(), [("a".to_owned(), 2), ("b".to_owned(), 1)]);
    assert_eq!(first.at - started, Controller::MAX_FIRST_PUSH_DELAY + Duration::from_secs(1));
    let events = two.events_until("PushStarted").await;
    assert_eq!(events.iter().filter(|event| **event == "PushFailed").count(), 2, "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn a_traefik_that_cannot_answer_the_question_is_pushed_to_nevertheless() {
    let refused = Error::Refused { what: "request", status: 403, text: String::new() };
    let unintelligible = Error::Unintelligible { what: "request", problem: String::new(), source: None };
    let fleet = Error::Fleet { failed: vec![("a:1".to_owned(), unintelligible.clone())], of: 1 };
    for error in [refused, unintelligible, fleet] {
        let started = Instant::now();
        let mut two = Running::two();
        answers(&two, [Err(error)]);
        two.found_by(0, 2).await;
        let first = two.next_push().await;
        assert_eq!(first.members(), [("a".to_owned(), 2)]);
        assert_eq!(first.at - started, Controller::MAX_FIRST_PUSH_DELAY);
    }
}

#[tokio::test(start_paused = true)]
async fn a_traefik_that_never_answers_the_question_is_pushed_to_in_the_end() {
    let started = Instant::now();
    let mut two = Running::two();
    answers(&two, std::iter::repeat_n(Err(away()), 1000));
    two.found_by(0, 2).await;
    time::sleep(Controller::MAX_FIRST_PUSH_DELAY).await;
    let first = two.next_push().await;
    assert_eq!(first.members(), [("a".to_owned(), 2)]);
    assert!(first.at - started <= Controller::MAX_FIRST_PUSH_DELAY + FirstPush::MAX_QUESTIONS);
}

#[tokio::test(start_paused = true)]
async fn backends_that_become_known_while_traefik_is_asked_are_pushed_at_once() {
    let mut two = Running::two();
    answers(&two, std::iter::repeat_n(Err(away()), 1000));
    two.found_by(0, 2).await;
    time::sleep(Duration::from_secs(15)).await;
    let known = Instant::now();
    two.found_by(1, 3).await;
    let first = two.next_push().await;
    assert_eq!(first.members(), [("a".to_owned(), 2), ("b".to_owned(), 3)]);
    assert_eq!(first.at, known);
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_only_an_instance_has_which_could_not_be_asked_is_kept_when_it_comes_back() {
    let (away, empty) = (Arc::new(FakeSink::default()), Arc::new(FakeSink::default()));
    let mut before = Configuration::default();
    for pool in ["a", "b"] {
        let pool = TcpPool::new(pool.parse().unwrap(), "tcp".parse().unwrap());
        pool.member(Member::new(address(7), 7)).add_to(&mut before);
    }
    away.overwrite(before);
    away.set_away(true);
    let fleet = Fleet::builder().sink("a:1".into(), away.clone()).sink("b:1".into(), empty.clone());
    let fleet = Arc::new(fleet.quorum(Quorum::AtLeast(1)).start());
    let ((a, sets_of_a), (b, _sets_of_b)) =
        (pool("a", "tcp", Policy::round_robin()), pool("b", "tcp", Policy::round_robin()));
    let instances = fleet.watch_instances();
    let _running = tokio::spawn(Controller::new(fleet, [a, b]).with_instances(instances).run(std::future::pending()));
    sets_of_a.send(Ok(set(2))).await.unwrap();
    let routers = |sink: &FakeSink| -> Vec<String> {
        sink.in_force().into_iter().flat_map(|it| it.tcp.routers.into_keys()).map(|name| name.to_string()).collect()
    };
    time::sleep(Controller::MAX_FIRST_PUSH_DELAY + Duration::from_secs(5)).await;
    assert_eq!((routers(&away), routers(&empty)), (vec!["a".to_owned(), "b".to_owned()], vec!["a".to_owned()]));
    away.set_away(false);
    time::sleep(Duration::from_secs(30)).await;
    assert_eq!(
        (routers(&away), routers(&empty)),
        (vec!["a".to_owned(), "b".to_owned()], vec!["a".to_owned(), "b".to_owned()])
    );
    let has_b = |seen: &Configuration| seen.tcp.routers.keys().any(|name| name.as_str() == "b");
    assert!(away.seen().iter().all(has_b), "it never was without the pool");
}
