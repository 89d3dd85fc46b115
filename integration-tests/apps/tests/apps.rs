//! Real applications lose nothing that they have confirmed while their servers are replaced.

use std::process::Command;

#[test]
#[ignore = "needs the testbed: make test"]
fn a_rolling_restart_loses_nothing_that_an_application_has_confirmed() {
    // The whole matrix takes minutes: `make apps-test`.
    let status = Command::new(env!("CARGO_BIN_EXE_apps-test"))
        .env("APPS", "postgresql,mqtt")
        .env("EVENTS", "rolling-restart")
        .status()
        .unwrap();
    assert!(status.success(), "apps-test failed, as is said above");
}
