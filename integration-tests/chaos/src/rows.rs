//! The faults that ilb is built for, and the tests of each.

/// A kind of fault.
pub(crate) struct Row {
    pub(crate) fault: &'static str,
    /// Tests for it alone.
    pub(crate) tests: &'static [Test],
    /// Classes of faults of `make chaos`.
    pub(crate) chaos: &'static [&'static str],
    /// Time after which ilb shows it, where that has a bound; measured times are added.
    pub(crate) noticed: &'static str,
    /// What clients notice.
    pub(crate) clients: &'static str,
}

/// A test, or a check of `make cluster-test`.
pub(crate) struct Test {
    /// File in the checkout.
    pub(crate) file: &'static str,
    /// Name of the function.
    pub(crate) name: &'static str,
}

const fn test(file: &'static str, name: &'static str) -> Test {
    Test { file, name }
}

const fn row(
    fault: &'static str,
    tests: &'static [Test],
    chaos: &'static [&'static str],
    noticed: &'static str,
    clients: &'static str,
) -> Row {
    Row { fault, tests, chaos, noticed, clients }
}

/// Text for a fault that clients do not notice.
const NOTHING: &str = "nothing";
/// Text for a fault during which changes wait.
const LAST_GOOD: &str = "the backends known last stay in use; changes wait";

/// All rows.
pub(crate) const ROWS: &[Row] = &[
    row(
        "A watch is half-open, or no packet arrives",
        &[
            test(
                "integration-tests/tests/discovery/black_hole.rs",
                "a_watch_over_which_nothing_comes_any_more_is_noticed",
            ),
            test("integration-tests/tests/discovery/black_hole.rs", "an_api_server_that_is_stopped_is_noticed"),
            test("integration-tests/tests/discovery/black_hole.rs", "a_network_that_loses_every_packet_is_noticed"),
        ],
        &["black hole between ilb and the API server", "API server stopped"],
        "within 15 s",
        LAST_GOOD,
    ),
    row(
        "Connections to the API server break, are refused, crawl",
        &[
            test(
                "integration-tests/tests/discovery/broken_connections.rs",
                "no_change_is_lost_when_connections_are_reset",
            ),
            test(
                "integration-tests/tests/discovery/broken_connections.rs",
                "no_change_is_lost_when_answers_end_in_the_middle",
            ),
            test(
                "integration-tests/tests/discovery/broken_connections.rs",
                "no_change_is_lost_when_the_network_crawls",
            ),
            test(
                "integration-tests/tests/discovery/broken_connections.rs",
                "connections_that_are_refused_for_a_while_are_made_again",
            ),
        ],
        &["cut connections between ilb and the API server", "slow connections between ilb and the API server"],
        "at once",
        LAST_GOOD,
    ),
    row(
        "410 Gone, at the start of a watch, in it, or on a later page",
        &[
            test(
                "integration-tests/tests/discovery/restarts.rs",
                "a_history_that_was_forgotten_is_replaced_by_a_new_list",
            ),
            test("discovery/src/kube/follow/tests.rs", "a_version_that_expires_during_a_watch_leads_to_a_new_list"),
            test(
                "discovery/src/kube/follow/tests.rs",
                "a_list_that_fails_after_some_pages_leaves_no_trace_and_begins_again",
            ),
            test("integration-tests/tests/clients/unchanged_sets.rs", "a_relist_causes_no_push"),
        ],
        &["compaction of etcd while the watch is cut"],
        "–",
        NOTHING,
    ),
    row(
        "The API server is killed, restarted or upgraded",
        &[
            test(
                "integration-tests/tests/discovery/restarts.rs",
                "an_api_server_that_is_killed_and_restarted_is_followed_again",
            ),
            test(
                "integration-tests/tests/clients/api_server_outage.rs",
                "an_outage_of_the_api_server_cuts_nothing_and_changes_nothing",
            ),
            test(
                "integration-tests/tests/ilb/health.rs",
                "ilb_stays_ready_without_a_backend_and_without_the_api_server",
            ),
        ],
        &["API server killed", "API server restarted"],
        "at once",
        LAST_GOOD,
    ),
    row(
        "etcd stalls or restarts behind an API server that answers",
        &[test("integration-tests/tests/discovery/restarts.rs", "an_etcd_that_stalls_takes_no_backend_away")],
        &["etcd stopped", "etcd restarted"],
        "when a list fails",
        LAST_GOOD,
    ),
    row(
        "Rights are revoked",
        &[
            test(
                "integration-tests/tests/discovery/permissions.rs",
                "a_right_that_is_taken_away_is_missed_and_works_again_when_it_is_back",
            ),
            test(
                "integration-tests/tests/discovery/permissions.rs",
                "a_namespace_without_rights_takes_only_its_own_backends_away",
            ),
        ],
        &["rights in a namespace revoked"],
        "at the next watch, within 15 s",
        "the backends known last stay in use in that namespace; others go on",
    ),
    row(
        "A token expires or is rotated",
        &[test(
            "integration-tests/tests/discovery/permissions.rs",
            "a_token_that_is_refused_is_reported_and_the_next_one_in_its_file_is_used",
        )],
        &["token revoked, then rotated"],
        "at the next watch, within 15 s",
        LAST_GOOD,
    ),
    row(
        "A list from an API server that lags behind",
        &[
            test("discovery/src/kube/follow/tests.rs", "a_list_that_goes_back_in_time_is_refused_until_it_stays_there"),
            test("discovery/src/kube/version_guard.rs", "a_list_that_has_caught_up_ends_the_refusal_time"),
            test("discovery/src/kube/follow/tests.rs", "requests_ask_for_the_newest_state_in_pages_and_for_bookmarks"),
        ],
        &[],
        "at once",
        LAST_GOOD,
    ),
    row(
        "\"Too large resource version\" (504), Retry-After",
        &[
            test("discovery/src/kube/follow/tests.rs", "a_version_that_the_server_has_not_reached_leads_to_a_new_list"),
            test("discovery/src/kube/follow/tests/pauses.rs", "an_api_server_that_demands_a_pause_gets_it"),
            test("discovery/src/kube/follow/tests/pauses.rs", "a_demanded_pause_is_kept_within_half_a_minute"),
        ],
        &[],
        "at once",
        LAST_GOOD,
    ),
    row(
        "etcd is restored empty or from an old copy",
        &[test(
            "integration-tests/tests/discovery/restarts.rs",
            "an_etcd_that_lost_everything_is_believed_only_when_it_insists",
        )],
        &["etcd restored empty"],
        "at once; believed after 30 s",
        "the backends known last stay in use for these 30 s",
    ),
    row(
        "An address is used again by another pod",
        &[
            test("discovery/src/kube/index/tests.rs", "an_ended_pod_never_affects_an_address_that_another_one_has_now"),
            test("discovery/src/kube/index/tests.rs", "a_name_that_is_reused_is_another_pod"),
        ],
        &[],
        "–",
        NOTHING,
    ),
    row(
        "Two pods have one address",
        &[test("discovery/src/kube/index/tests.rs", "an_address_of_two_pods_leaves_with_the_last_one")],
        &[],
        "–",
        NOTHING,
    ),
    row(
        "Pods terminate",
        &[
            test(
                "integration-tests/tests/clients/readiness.rs",
                "a_deleted_pod_gets_no_new_connection_and_keeps_its_old_ones",
            ),
            test(
                "integration-tests/tests/clients/readiness.rs",
                "a_pod_that_vanishes_gets_no_new_connection_and_keeps_its_old_ones",
            ),
            test(
                "discovery/src/kube/index/tests.rs",
                "draining_backends_that_serve_are_used_only_when_none_is_ready_and_only_if_wanted",
            ),
        ],
        &[],
        "at once",
        NOTHING,
    ),
    row(
        "Pods without an address, or with one that comes later",
        &[test("discovery/src/kube/rules.rs", "a_host_without_an_address_of_a_family_that_is_used_is_complained_of")],
        &[],
        "–",
        NOTHING,
    ),
    row(
        "IPv6 and dual stack",
        &[
            test("discovery/src/kube/rules.rs", "of_both_families_the_wanted_one_is_used"),
            test("discovery/src/kube/index/tests.rs", "slices_are_merged_and_a_host_in_both_families_is_one_backend"),
            test("integration-tests/tests/ilb/admin_port.rs", "by_default_both_families_are_served"),
        ],
        &[],
        "–",
        NOTHING,
    ),
    row(
        "A node is lost, and its pods stay Ready",
        &[
            test(
                "integration-tests/tests/balancing/suspects.rs",
                "a_backend_that_swallows_packets_gets_no_new_connection",
            ),
            test(
                "integration-tests/tests/balancing/suspects.rs",
                "a_backend_that_refuses_gets_no_new_connection_until_it_answers_again",
            ),
        ],
        &["backend swallows", "backend refuses"],
        "where connections are counted: within about 2 s",
        "some new connections fail until then; its own ones hang or end",
    ),
    row(
        "A backend accepts connections and ends them, or is full",
        &[test(
            "reconciler/src/least_connections/tests/simulation/failing.rs",
            "a_backend_that_is_full_keeps_being_used_up_to_its_limit",
        )],
        &["backend accepts, then closes", "backend full"],
        "where connections are counted: after a few connections",
        "some new connections are closed",
    ),
    row(
        "Traefik restarts",
        &[
            test("integration-tests/tests/traefik/kills.rs", "fifty_kills_at_random_points_are_all_survived"),
            test(
                "integration-tests/tests/traefik/restart.rs",
                "a_killed_traefik_routes_again_after_it_has_come_back_empty",
            ),
            test("integration-tests/cluster-test/src/checks/crashes.rs", "end_of_traefik_is_repaired"),
        ],
        &["Traefik killed", "Traefik restarted"],
        "within a second",
        "its connections end; new ones fail until it is configured again",
    ),
    row(
        "Traefik hangs",
        &[
            test(
                "integration-tests/tests/traefik/frozen.rs",
                "a_stopped_traefik_is_unreachable_in_time_and_right_after_it_goes_on",
            ),
            test(
                "integration-tests/tests/traefik/frozen.rs",
                "in_a_fleet_a_stopped_and_a_killed_traefik_delay_no_other_and_follow_later",
            ),
        ],
        &["Traefik stopped", "black hole between ilb and Traefik"],
        "after the 3 s of a call",
        "a stopped Traefik answers nothing meanwhile; no connection ends",
    ),
    row(
        "A push is accepted and not applied",
        &[
            test(
                "integration-tests/tests/traefik/throttle.rs",
                "a_throttle_that_is_not_configured_in_the_client_is_an_error_that_names_it",
            ),
            test(
                "traefik-client/tests/faults.rs",
                "an_earlier_configuration_that_comes_into_force_late_is_no_other_client",
            ),
        ],
        &[],
        "at the read-back",
        LAST_GOOD,
    ),
    row(
        "A push in Traefik's first milliseconds",
        &[
            test("integration-tests/tests/traefik/kills.rs", "fifty_kills_at_random_points_are_all_survived"),
            test(
                "integration-tests/tests/ilb/start_order.rs",
                "a_traefik_that_is_down_at_the_start_is_configured_when_it_comes",
            ),
        ],
        &["Traefik restarted"],
        "at once",
        "new connections fail until it is configured",
    ),
    row(
        "Traefik refuses a configuration, or a pool of it",
        &[
            test(
                "integration-tests/tests/ilb/pools_apart.rs",
                "a_pool_at_an_entry_point_that_does_not_exist_is_shown_and_the_others_are_served_and_ready",
            ),
            test("traefik-client/tests/faults.rs", "a_server_that_differs_is_the_fault_of_its_pool"),
            test("reconciler/src/pushes.rs", "a_refused_state_is_repeated_slowly_but_another_one_is_pushed_at_once"),
        ],
        &[],
        "at once",
        "that pool is not served; the others are",
    ),
    row(
        "Pushes are slow",
        &[
            test("traefik-client/tests/hostile_answers.rs", "a_slow_trickle_of_bytes_does_not_extend_the_time_limit"),
            test(
                "controller/src/controller/tests/pushes.rs",
                "a_change_during_a_push_is_pushed_after_it_and_the_latest_wins",
            ),
        ],
        &["slow connections between ilb and Traefik", "cut connections between ilb and Traefik"],
        "–",
        LAST_GOOD,
    ),
    row(
        "Two programs write to one Traefik",
        &[
            test(
                "integration-tests/tests/ilb/two_writers.rs",
                "two_ilbs_on_one_traefik_are_not_ready_until_one_of_them_ends",
            ),
            test(
                "traefik-client/src/fleet/tests.rs",
                "a_rival_is_shown_counts_as_no_proof_and_is_answered_ever_more_slowly",
            ),
        ],
        &["one foreign write to Traefik", "another program keeps writing to Traefik"],
        "within seconds",
        "new connections may go where the other program says",
    ),
    row(
        "Replicas differ, one of them is cut off",
        &[
            test(
                "integration-tests/tests/ilb/several_traefiks.rs",
                "a_traefik_that_is_away_is_shown_and_the_other_one_is_served_and_left_alone",
            ),
            test("integration-tests/cluster-test/src/checks/crashes.rs", "end_of_one_ilb_of_two_is_not_noticed"),
        ],
        &["black hole between ilb and Traefik"],
        "after the 3 s of a call",
        "by that Traefik: the backends known last",
    ),
    row(
        "A clock steps or is wrong",
        &[test("traefik-client/tests/hostile_answers.rs", "times_beyond_every_clock_are_survived")],
        &[],
        "–",
        NOTHING,
    ),
    row(
        "A thousand pods are replaced at once",
        &[
            test(
                "integration-tests/tests/ilb/churn.rs",
                "many_changes_leave_no_task_no_file_no_series_and_no_memory_behind",
            ),
            test("discovery/src/publish.rs", "a_slow_consumer_gets_the_latest_set_only"),
            test("integration-tests/cluster-test/src/checks/backends.rs", "rolling_loses_nothing"),
        ],
        &[],
        "at once",
        NOTHING,
    ),
    row(
        "Memory runs out",
        &[
            test(
                "integration-tests/tests/ilb/churn.rs",
                "many_changes_leave_no_task_no_file_no_series_and_no_memory_behind",
            ),
            test("discovery/src/kube/body_lines.rs", "a_line_that_is_too_long_is_not_kept"),
        ],
        &["ilb killed and restarted", "ilb killed"],
        "–",
        "nothing; changes wait until ilb is back",
    ),
    row(
        "ilb is stopped, killed or restarted",
        &[
            test(
                "integration-tests/tests/clients/ilb_restart.rs",
                "a_killed_and_restarted_ilb_cuts_nothing_and_pushes_at_most_once",
            ),
            test(
                "integration-tests/tests/ilb/pools_apart.rs",
                "a_restarted_ilb_keeps_what_traefik_has_of_a_pool_whose_backends_it_does_not_know",
            ),
            test("integration-tests/cluster-test/src/checks/crashes.rs", "end_of_ilb_touches_nothing"),
        ],
        &["ilb killed", "ilb stopped", "ilb killed and restarted"],
        "by its probes",
        "nothing; changes wait until ilb is back",
    ),
    row(
        "SIGTERM in the middle of a push",
        &[
            test("integration-tests/tests/ilb/shutdown.rs", "sigterm_ends_ilb_within_a_second_while_a_push_hangs"),
            test(
                "integration-tests/tests/clients/ilb_restart.rs",
                "sigterm_ends_ilb_and_leaves_traefik_and_all_connections_alone",
            ),
        ],
        &[],
        "–",
        NOTHING,
    ),
    row(
        "Answers without end, logs without a reader",
        &[
            test("traefik-client/tests/hostile_answers.rs", "a_peer_that_never_answers_is_unreachable_in_time"),
            test("integration-tests/tests/ilb/log_reader.rs", "a_reader_of_the_log_that_stops_stops_nothing"),
            test("integration-tests/tests/ilb/log_reader.rs", "a_reader_of_the_log_that_goes_away_does_not_end_ilb"),
        ],
        &["log not read, pipe full"],
        "counted at once",
        NOTHING,
    ),
    row(
        "Hostile names, labels and annotations",
        &[
            test("discovery/src/kube/decoded/tests.rs", "any_text_is_read_or_refused"),
            test(
                "discovery/src/kube/follow/tests/objects.rs",
                "an_object_that_cannot_be_decoded_leaves_alone_and_comes_back_when_it_can",
            ),
            test("discovery/src/kube/scope.rs", "no_name_of_a_namespace_leads_to_another_path"),
        ],
        &[],
        "logged once",
        NOTHING,
    ),
    row(
        "Pods with addresses that are no backend's: loopback, link-local, ilb's own",
        &[
            test("discovery/src/address.rs", "only_addresses_of_other_hosts_can_be_backends"),
            test(
                "integration-tests/tests/clients/own_addresses.rs",
                "an_own_address_is_never_a_backend_and_that_is_logged_once",
            ),
        ],
        &[],
        "logged once",
        NOTHING,
    ),
    row(
        "The API of Traefik is reached by others",
        &[
            test("integration-tests/tests/chart/exposure.rs", "the_write_api_is_on_loopback_and_no_port_of_anything"),
            test("integration-tests/cluster-test/src/checks/security.rs", "write_api_is_out_of_reach"),
        ],
        &[],
        "–",
        NOTHING,
    ),
    row(
        "Files or ports run out, the admin port is flooded",
        &[
            test(
                "integration-tests/tests/ilb/admin_port.rs",
                "probes_are_answered_while_hundreds_of_connections_are_idle_slow_or_greedy",
            ),
            test(
                "ilb-bin/src/observe/admin/places.rs",
                "when_all_places_are_taken_the_connection_that_has_been_waiting_longest_is_closed",
            ),
        ],
        &["flood of the admin port"],
        "–",
        NOTHING,
    ),
    row(
        "The settings file is wrong",
        &[
            test(
                "integration-tests/tests/ilb/settings_file.rs",
                "a_wrong_file_is_refused_and_the_settings_before_stay_in_force",
            ),
            test(
                "integration-tests/tests/ilb/settings_file.rs",
                "a_file_that_is_written_in_place_is_applied_when_it_is_finished",
            ),
        ],
        &["wrong settings file"],
        "after the second in which a file must not change",
        NOTHING,
    ),
];

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs};

    use ilb_testbed::in_checkout;

    use super::*;
    use crate::{fault::Fault, setup::Setup};

    #[test]
    fn every_test_that_is_named_exists() {
        for Test { file, name } in ROWS.iter().flat_map(|row| row.tests) {
            let text = fs::read_to_string(in_checkout(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
            let is_there = text.contains(&format!("fn {name}("));
            assert!(is_there, "{file} has no {name}: name the test that keeps this promise now in rows.rs");
        }
    }

    #[test]
    fn every_class_of_faults_has_a_row_and_every_row_a_test() {
        let faults = Fault::one_of_each(Setup::Fleet, &mut |_| 0);
        let classes: BTreeSet<_> = faults.into_iter().map(Fault::class).collect();
        let named: BTreeSet<_> = ROWS.iter().flat_map(|row| row.chaos).copied().collect();
        assert_eq!(classes, named);
        for row in ROWS {
            assert!(!row.tests.is_empty(), "{}", row.fault);
        }
    }
}
