#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod accounts;
mod announced;
mod closer;
mod connection;
mod counters;
mod descriptor;
mod dump_budget;
mod error;
mod first_seen;
mod flows;
mod following;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod halves;
mod kernel;
mod ledger;
mod locality;
mod method;
mod netlink;
mod openings;
mod own_connection;
mod own_sockets;
mod port_range;
mod probe;
mod process;
mod processor_time;
mod procfs;
mod reader;
mod remotes;
mod sample;
mod search;
mod settled;
mod shuffles;
mod socket;
mod source;
mod system;
mod table;
#[cfg(test)]
mod testing;
mod view;

pub use crate::{
    closer::{
        Ability, AnswerRule, Closer, CloserServer, Conditions, Destroyer, How, InvalidLimits, Limits, NotNow, Order,
        Outcome, Refusal, Remote,
    },
    connection::{Answered, Connection},
    error::{Error, ReadError},
    flows::{Age, ClosedFlow, EndedFlows, Flow, FlowEnds, FlowPool, FlowState, FlowTable, Flows, LoneClient},
    halves::{Half, HalfSource, KernelHalves},
    kernel::{KernelConnections, Options},
    locality::is_local,
    method::Method,
    probe::{ProbeError, Probed, Prober},
    sample::{EndedBy, Ending, Load, MAX_ENDINGS_PER_SAMPLE, Sample},
    source::ConnectionSource,
};

#[cfg(feature = "test-util")]
pub use crate::{closer::MockCloser, source::MockConnectionSource};
