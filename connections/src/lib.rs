#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod error;
mod sample;
mod source;

pub use crate::{
    error::Error,
    sample::{Load, Sample},
    source::ConnectionSource,
};

#[cfg(feature = "test-util")]
pub use crate::source::MockConnectionSource;
