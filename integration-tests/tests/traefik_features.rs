//! What the typed model offers works with the Traefik that the product is measured with. `make test-matrix` tries older
//! ones.

use ilb_testbed::{BareTraefik, matrix::Check};

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn every_feature_of_the_model_works_in_the_newest_traefik() {
    for check in Check::features() {
        check.run(BareTraefik::NEWEST).await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn restarts_other_writers_and_disabled_routers_are_noticed() {
    for check in Check::guards() {
        check.run(BareTraefik::NEWEST).await.unwrap();
    }
}
