//! One seed, for a minute: what `make chaos` does for longer and with any seed.

use std::time::Duration;

use ilb_chaos::{Schedule, Setup, replay, run};
use ilb_testbed::raise_file_limit;

/// Seed whose first steps have faults of all parts and none that takes a minute to be over.
const SEED: u64 = 1814;
/// Time for which steps are begun, in each of the two arrangements.
const TIME: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the testbed: make test"]
async fn the_model_holds_for_a_minute_of_faults() {
    raise_file_limit().unwrap();
    let (fleet, single) = tokio::join!(
        run(Setup::Fleet, Schedule::new(SEED, Setup::Fleet), TIME, 0),
        run(Setup::Single, Schedule::new(SEED, Setup::Single), TIME, 0),
    );
    for (setup, outcome) in [(Setup::Fleet, fleet), (Setup::Single, single)] {
        let outcome = outcome.unwrap();
        if let Some((violation, _)) = &outcome.violation {
            let replay = replay::shortest(SEED, setup, &outcome.steps, violation).await;
            panic!("{outcome:#?}\n{replay}");
        }
        assert!(outcome.records.len() >= 3, "{outcome:#?}");
    }
}
