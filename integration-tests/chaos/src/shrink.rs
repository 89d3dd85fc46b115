//! Finds a shorter list of steps that fails as well.

use std::time::{Duration, Instant};

/// Most attempts, each on new components.
pub(crate) const MAX_ATTEMPTS: usize = 12;
/// Time after which no other attempt is begun.
pub(crate) const MAX_TIME: Duration = Duration::from_secs(900);

/// Returns the shortest list of steps that was found to fail, given that all of `steps` fail, the last of them visibly.
///
/// First the last ones alone are tried, twice as many each time; then those that are left are left out one by one.
pub(crate) async fn shrink<T: Clone>(steps: Vec<T>, mut fails: impl AsyncFnMut(&[T]) -> bool) -> Vec<T> {
    let (begun, mut attempts) = (Instant::now(), 0);
    let mut may_try = || {
        attempts += 1;
        attempts <= MAX_ATTEMPTS && begun.elapsed() < MAX_TIME
    };
    let mut shortest = steps;
    let mut length = 1;
    while length < shortest.len() && may_try() {
        let last = shortest[shortest.len() - length..].to_vec();
        if fails(&last).await {
            shortest = last;
        } else {
            length *= 2;
        }
    }
    let mut index = 0;
    while index + 1 < shortest.len() && may_try() {
        let mut fewer = shortest.clone();
        fewer.remove(index);
        if fails(&fewer).await {
            shortest = fewer;
        } else {
            index += 1;
        }
    }
    shortest
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn shrunk(steps: usize, needed: &[usize]) -> (Vec<usize>, usize) {
        let mut attempts = 0;
        let shortest = shrink((1..=steps).collect(), async |list: &[usize]| {
            attempts += 1;
            needed.iter().all(|step| list.contains(step))
        })
        .await;
        (shortest, attempts)
    }

    #[tokio::test]
    async fn a_fault_of_the_last_step_alone_is_found_at_once() {
        assert_eq!(shrunk(40, &[40]).await, (vec![40], 1));
    }

    #[tokio::test]
    async fn a_fault_that_needs_two_steps_keeps_both_and_nothing_else() {
        assert_eq!(shrunk(40, &[37, 40]).await.0, [37, 40]);
    }

    #[tokio::test]
    async fn the_number_of_attempts_is_bounded_and_what_is_returned_fails() {
        let needed: Vec<_> = (1..=100).step_by(3).collect();
        let (shortest, attempts) = shrunk(100, &needed).await;
        assert!(attempts <= MAX_ATTEMPTS && needed.iter().all(|step| shortest.contains(step)));
    }
}
