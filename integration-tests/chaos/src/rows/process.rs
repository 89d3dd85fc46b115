//! ilb itself, and what reaches it from outside.

use super::row::{NOTHING, Row, row, test};

pub(super) const ROWS: &[Row] = &[
    row(
        "A clock steps or is wrong",
        &[
            test(
                "integration-tests/tests/ilb/clock.rs",
                "a_step_of_the_clock_changes_only_which_certificates_are_valid",
            ),
            test("traefik-client/tests/hostile_answers.rs", "times_beyond_every_clock_are_survived"),
        ],
        &["step of the clock of ilb by an hour"],
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
        &["all pods of a pool replaced at once"],
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
        &["ilb ended by SIGTERM and restarted"],
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
        &["pod with hostile annotations"],
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
        &["pod with a link-local address"],
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
                "integration-tests/tests/ilb/admin_port.rs",
                "probes_are_answered_although_a_flood_from_their_own_address_reconnects_at_full_speed",
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
