//! The plan in force, followed at Traefik.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use ilb_testbed::Traefik;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval},
};

/// A plan that is being followed.
pub(crate) struct PlanFollower {
    stop: oneshot::Sender<()>,
    task: JoinHandle<FollowedPlan>,
}

/// The plan over a whole run.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct FollowedPlan {
    /// Least share of the working backends that was in the plan at any moment.
    pub(crate) working_in_plan_min: f64,
    /// Longest time between two looks at the plan, in milliseconds.
    pub(crate) longest_gap_ms: f64,
    /// Number of looks.
    looks: u64,
}

/// Time between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(25);

impl PlanFollower {
    /// Begins to follow what Traefik has in force for the backends that work.
    pub(crate) fn new(traefik: Arc<Traefik>, working: Vec<SocketAddr>) -> Self {
        let (stop, stopped) = oneshot::channel();
        Self { stop, task: tokio::spawn(follow(traefik, working, stopped)) }
    }

    /// Ends. Returns what was seen.
    pub(crate) async fn finish(self) -> anyhow::Result<FollowedPlan> {
        drop(self.stop);
        Ok(self.task.await?)
    }
}

#[allow(clippy::cast_precision_loss, reason = "there are few backends")]
async fn follow(traefik: Arc<Traefik>, working: Vec<SocketAddr>, mut stopped: oneshot::Receiver<()>) -> FollowedPlan {
    let mut seen = FollowedPlan { working_in_plan_min: 1.0, longest_gap_ms: 0.0, looks: 0 };
    let mut ticks = interval(LOOK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = Instant::now();
    loop {
        tokio::select! {
            _ = &mut stopped => return seen,
            _ = ticks.tick() => {}
        }
        // An answer that does not come leaves a gap, which is shown.
        let Ok(weights) = traefik.weights().await else { continue };
        let is_in_plan =
            |backend: &&SocketAddr| weights.get(backend).is_some_and(|w| w.iter().any(|weight| *weight > 0));
        let share = working.iter().filter(is_in_plan).count() as f64 / working.len().max(1) as f64;
        seen.working_in_plan_min = seen.working_in_plan_min.min(share);
        seen.longest_gap_ms = seen.longest_gap_ms.max(last.elapsed().as_secs_f64() * 1e3);
        seen.looks += 1;
        last = Instant::now();
    }
}
