//! The API server, the pods, and the rights to read them.

use super::row::{LAST_GOOD, NOTHING, Row, row, test};

pub(super) const ROWS: &[Row] = &[
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
            test(
                "integration-tests/tests/ilb/proxy.rs",
                "an_api_server_whose_name_only_the_proxy_knows_is_followed_through_it",
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
        &["address passes to another pod"],
        "–",
        NOTHING,
    ),
    row(
        "Two pods have one address",
        &[test("discovery/src/kube/index/tests.rs", "an_address_of_two_pods_leaves_with_the_last_one")],
        &["address passes to another pod"],
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
        &["pod terminates"],
        "at once",
        NOTHING,
    ),
    row(
        "Pods without an address, or with one that comes later",
        &[test("discovery/src/kube/rules.rs", "a_host_without_an_address_of_a_family_that_is_used_is_complained_of")],
        &["pod that is Ready before it has an address"],
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
];
