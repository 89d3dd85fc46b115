#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod plan;
mod pushes;
mod reconcile;

pub use crate::{
    plan::{Entry, Plan},
    pushes::{Failure, Next, Pushes},
    reconcile::{Action, Change, reconcile},
};
