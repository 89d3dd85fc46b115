//! The log of the exchange with the siblings. What fails again and again is counted by the metrics.

use ilb_siblings::SiblingEvent;

/// Logs that a sibling is heard, lost or has left.
pub(super) fn log(event: &SiblingEvent) {
    match event {
        SiblingEvent::Heard { address, replica } => {
            tracing::info!(%address, %replica, "A sibling answers: balancing together with it");
        }
        SiblingEvent::Lost { address, replica, problem } => {
            let replica = replica.map(|replica| replica.to_string());
            tracing::warn!(
                %address,
                replica,
                error = %problem,
                kind = problem.kind(),
                "A sibling does not answer: balancing without it until it does"
            );
        }
        SiblingEvent::Left { address, replica } => {
            let replica = replica.map(|replica| replica.to_string());
            tracing::info!(%address, replica, "A sibling has left, or has restarted");
        }
        _ => {}
    }
}
