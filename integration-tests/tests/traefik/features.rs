//! The features of the typed model work with the Traefik that the chart installs. `make test-matrix` tries older versions.

use ilb_testbed::{BareTraefik, matrix};

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn every_feature_of_the_model_works_in_the_newest_traefik() {
    for check in matrix::features() {
        check.run(BareTraefik::NEWEST).await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn restarts_other_writers_and_disabled_routers_are_noticed() {
    for check in matrix::guards() {
        check.run(BareTraefik::NEWEST).await.unwrap();
    }
}
