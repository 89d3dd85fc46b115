//! Payloads that the typed model cannot express do break Traefik when they are sent raw: the guard matters.

use ilb_testbed::{BareTraefik, matrix};

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn each_poison_breaks_the_newest_traefik_and_the_model_does_not_read_it() {
    for check in matrix::poisons() {
        let outcome = check.run(BareTraefik::NEWEST).await.unwrap();
        println!("{}: {outcome}", check.name);
    }
}
