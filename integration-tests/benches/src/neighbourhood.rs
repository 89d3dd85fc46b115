//! The network namespace of the clients.
//!
//! Clients of a balancer are other pods. If they were in its network namespace, the kernel would count their ends of the
//! connections among those that the balancer opens.

use std::sync::OnceLock;

use anyhow::Context;
use ilb_testbed::Neighbour;
use tokio::runtime::{Builder, Handle, Runtime};

/// Returns the runtime whose tasks are clients: their connections come from the other namespace.
pub fn runtime() -> anyhow::Result<&'static Handle> {
    runtime_in(None)
}

/// Returns the same runtime, whose tasks can also be servers at any address of `network`: their ends of the connections are
/// in the other namespace, too. Only before the first call of [`runtime`].
pub fn runtime_with_hosts(network: &str) -> anyhow::Result<&'static Handle> {
    runtime_in(Some(network))
}

fn runtime_in(hosts: Option<&str>) -> anyhow::Result<&'static Handle> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime.handle());
    }
    let neighbour = Neighbour::new().context("cannot create a network namespace for the clients")?;
    if let Some(network) = hosts {
        neighbour.host_network(network)?;
    }
    let enter = move || {
        let entered = neighbour.enter();
        assert!(entered.is_ok(), "the clients cannot leave this network namespace: {entered:?}");
    };
    let runtime = Builder::new_multi_thread().worker_threads(1).on_thread_start(enter).enable_all().build()?;
    Ok(RUNTIME.get_or_init(|| runtime).handle())
}
