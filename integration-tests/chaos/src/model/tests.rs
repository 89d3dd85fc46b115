//! What the model says in the states that runs go through.

use super::*;

fn slot(pool: usize, number: usize) -> Slot {
    Slot { pool, number }
}

fn gone(slot: Slot) -> Change {
    Change { slot, to: PodState::Absent }
}

fn after(start: Instant, seconds: u64) -> Instant {
    start + Duration::from_secs(seconds)
}

#[test]
fn without_faults_ilb_is_ready_and_each_pool_has_its_pods() {
    let expected = Model::new(Setup::Single).expected();
    assert_eq!((expected.ready, expected.ilb_answers), (Some(true), true));
    assert!(expected.degraded.is_empty() && expected.may_be_degraded.is_empty());
    assert_eq!(expected.pools[0].as_ref().map(BTreeSet::len), Some(FIRST_SLOTS));
}

#[test]
fn a_fleet_is_ready_until_its_last_traefik_is_away() {
    let (mut model, now) = (Model::new(Setup::Fleet), Instant::now());
    model.begin(Fault::TraefikKilled(0), now);
    let expected = model.expected();
    assert_eq!(expected.ready, Some(true));
    assert!(expected.degraded.contains(&(Said::Traefik(0), Some(Fault::TraefikKilled(0)))));
    assert_eq!(expected.traefiks, BTreeSet::from([1]));
    model.begin(Fault::TraefikBlackHole(1), now);
    assert_eq!(model.expected().ready, Some(false));
}

#[test]
fn a_gone_backend_is_forbidden_after_the_bound_and_at_once_when_all_is_settled() {
    let (mut model, now) = (Model::new(Setup::Fleet), Instant::now());
    model.change(gone(slot(1, 2)), now);
    assert!(!model.is_forbidden(0, slot(1, 2), after(now, 9)));
    assert!(model.is_forbidden(0, slot(1, 2), after(now, 10)));
    model.settle(after(now, 1));
    assert!(model.is_forbidden(0, slot(1, 2), after(now, 1)));
    model.change(Change { slot: slot(1, 2), to: PodState::Ready }, after(now, 2));
    assert!(!model.is_forbidden(0, slot(1, 2), after(now, 60)));
}

#[test]
fn while_changes_cannot_arrive_a_gone_backend_may_be_reached_without_bound() {
    let (mut model, now) = (Model::new(Setup::Fleet), Instant::now());
    model.begin(Fault::TraefikBlackHole(0), now);
    model.change(gone(slot(0, 0)), now);
    assert!(!model.is_forbidden(0, slot(0, 0), after(now, 600)));
    assert!(model.is_forbidden(1, slot(0, 0), after(now, 10)), "the other Traefik gets the change");
    model.heal(Fault::TraefikBlackHole(0));
    assert!(!model.is_forbidden(0, slot(0, 0), after(now, 600)), "not yet");
    model.settle(after(now, 601));
    assert!(model.is_forbidden(0, slot(0, 0), after(now, 601)));
}

#[test]
fn a_connection_may_end_only_after_its_traefik_or_its_backend_has_been_ended() {
    let (mut model, opened) = (Model::new(Setup::Fleet), Instant::now());
    model.begin(Fault::TraefikStopped(0), opened);
    model.begin(Fault::ApiServerKilled, opened);
    assert_eq!(model.reason_for_end(0, slot(0, 0), opened), None);
    model.begin(Fault::TraefikKilled(1), after(opened, 1));
    assert!(model.reason_for_end(1, slot(0, 0), opened).is_some());
    assert_eq!(model.reason_for_end(1, slot(0, 0), after(opened, 2)), None, "it was opened afterwards");
    model.begin(Fault::ServerRefuses(slot(2, 1)), after(opened, 3));
    assert!(model.reason_for_end(0, slot(2, 1), opened).is_some());
    assert_eq!(model.reason_for_end(0, slot(2, 2), opened), None);
}

#[test]
fn failures_are_excused_from_the_beginning_of_trouble_until_all_is_settled() {
    let (mut model, now) = (Model::new(Setup::Fleet), Instant::now());
    assert_eq!(model.excuse(0, 0, now), None);
    model.begin(Fault::TraefikRestarted(0), now);
    model.heal(Fault::TraefikRestarted(0));
    assert!(model.excuse(0, 0, now).is_some() && model.excuse(1, 0, now).is_none());
    model.settle(after(now, 5));
    assert!(model.excuse(0, 0, after(now, 4)).is_some(), "it began before");
    assert_eq!(model.excuse(0, 0, after(now, 6)), None);
}

#[test]
fn a_pool_without_ready_pods_is_named_and_its_clients_may_fail() {
    let (mut model, now) = (Model::new(Setup::Single), Instant::now());
    for number in 0..FIRST_SLOTS {
        model.change(gone(slot(1, number)), now);
    }
    assert!(model.expected().degraded.contains(&(Said::NoBackend(1), None)));
    assert!(model.excuse(0, 1, now).is_some() && model.excuse(0, 0, now).is_none());
}

#[test]
fn lost_rights_make_one_pool_stale_and_a_lost_api_server_makes_all_of_them_stale() {
    let stale = |fault| {
        let mut model = Model::new(Setup::Single);
        model.begin(fault, Instant::now());
        let expected = model.expected();
        assert_eq!(expected.ready, Some(true), "{fault}");
        expected.degraded.into_iter().map(|(said, _)| said).collect::<Vec<_>>()
    };
    assert_eq!(stale(Fault::RightsRevoked(2)), [Said::Stale(2)]);
    assert_eq!(stale(Fault::ApiBlackHole), [Said::Stale(0), Said::Stale(1), Said::Stale(2)]);
    assert_eq!(stale(Fault::ApiSlow), []);
}

#[test]
fn a_killed_ilb_shows_nothing_and_its_clients_are_served() {
    let (mut model, now) = (Model::new(Setup::Single), Instant::now());
    model.begin(Fault::IlbKilled, now);
    assert!(!model.expected().ilb_answers);
    assert_eq!(model.excuse(0, 0, now), None);
}
