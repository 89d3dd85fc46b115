//! An upper bound of the age of connections.

use std::time::Duration;

use ilb_benches::random::Random;
use tokio::{sync::watch, time::sleep};

/// An upper bound of the age of connections with a jitter, which begins to be kept at some moment.
#[derive(Clone, Debug)]
pub(crate) struct AgeLimit {
    age: Duration,
    is_kept: watch::Receiver<bool>,
}

/// Part by which an age varies, upwards.
pub(crate) const JITTER: f64 = 0.2;

impl AgeLimit {
    /// Creates a limit that is kept as soon as the sender says `true`.
    pub(crate) fn new(age: Duration) -> (Self, watch::Sender<bool>) {
        let (sender, is_kept) = watch::channel(false);
        (Self { age, is_kept }, sender)
    }

    /// Waits until a connection that opens now is too old. Those that were open before the limit was kept are of all ages
    /// then, as if their clients had come by and by.
    pub(crate) async fn reached(mut self, mut random: Random) {
        let is_new = *self.is_kept.borrow();
        if !is_new && self.is_kept.wait_for(|is_kept| *is_kept).await.is_err() {
            return std::future::pending().await; // the measurement has ended
        }
        let part_left = if is_new { 1.0 } else { random.uniform() };
        sleep(self.age.mul_f64(part_left * (1.0 + JITTER * random.uniform()))).await;
    }
}
