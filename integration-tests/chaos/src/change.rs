//! Changes of the pods.

use crate::setup::Slot;

/// A change of a pod. It says what is to be, not what to do, so it makes sense also if the steps before are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Place of the pod.
    pub slot: Slot,
    /// State that it gets.
    pub to: PodState,
}

/// State of a pod. Its backend works in all of them, but is ended some time after the pod has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodState {
    /// Running and Ready.
    Ready,
    /// Running and not Ready.
    NotReady,
    /// Deleted with a grace period: it still exists.
    Terminating,
    /// Not there.
    Absent,
}
