//! Backends, Traefik, and the pushes to it.

use super::row::{LAST_GOOD, Row, row, test};

pub(super) const ROWS: &[Row] = &[
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
        &["Traefik accepts pushes and applies none"],
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
            test(
                "integration-tests/tests/ilb/pools_apart.rs",
                "a_pool_that_an_old_traefik_cannot_serve_is_shown_and_the_others_are_balanced_and_ready",
            ),
            test("traefik-client/tests/faults.rs", "a_server_that_differs_is_the_fault_of_its_pool"),
            test("reconciler/src/pushes.rs", "a_refused_state_is_repeated_slowly_but_another_one_is_pushed_at_once"),
        ],
        &["pool at an entry point that Traefik lacks"],
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
];
