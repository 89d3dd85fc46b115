#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod closing;
mod controller;
mod counting;
mod desired;
mod event;
mod first_push;
mod plan;
mod policy;
mod pool;
mod pool_info;
mod siblings;
mod spec;
#[cfg(test)]
mod testing;
mod zones;

pub use crate::{
    closing::{ClosingFacts, ClosingResult, Run, RunEnd},
    controller::{Controller, PoolChanges},
    counting::{Counter, Probe},
    desired::{Desired, DesiredPools},
    event::{Event, Observer},
    plan::{plan, plan_with_siblings},
    policy::Policy,
    pool::Pool,
    pool_info::PoolInfo,
    spec::{PoolSpec, Shares},
};

#[cfg(any(test, feature = "test-util"))]
pub use crate::event::MockObserver;
