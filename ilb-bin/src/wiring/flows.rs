//! Builds what reads the connections of clients, for those who look at them and for their log.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use ilb_connections::{FlowEnds, FlowPool, FlowTable, Flows};
use ilb_traefik_client::{Traefik, client::EntryPoint};
use tokio::runtime;

use super::{connections::Visibility, pools::PoolFactory};
use crate::observe::{
    connections::{ConnectionLog, ConnectionTable, Source},
    insight::Insight,
};

/// Reads connections of the Traefik beside this process.
struct KernelSource {
    traefik: Arc<Traefik>,
    visibility: Arc<Visibility>,
    /// Flows that the log reads, and remembers all the time; `None` without a log.
    logged: Option<Flows>,
    /// Flows that are remembered between two reads without a log; `None` while nobody looks.
    flows: Mutex<Option<Flows>>,
}

/// Lets `table` answer, and starts the log of connections, of at most `max_rate` lines a second, if there is to be one.
/// `traefik` is the only Traefik.
pub(super) async fn start(
    factory: &PoolFactory,
    traefik: Option<Arc<Traefik>>,
    insight: &Insight,
    table: &ConnectionTable,
    max_rate: Option<u32>,
) -> anyhow::Result<()> {
    let visibility = factory.visibility().await;
    let reason = match (&**visibility, traefik) {
        (Visibility::Visible { .. }, Some(traefik)) => {
            let logged = match max_rate {
                Some(max_rate) => {
                    // Its probes are no connections of clients.
                    let flows = Flows::new(visibility.start_counting().await.as_ref());
                    start_log(insight, Arc::clone(&traefik), flows.clone(), max_rate)?;
                    Some(flows)
                }
                None => None,
            };
            let (visibility, flows) = (Arc::clone(visibility), Mutex::default());
            table.set_source(Ok(Arc::new(KernelSource { traefik, visibility, logged, flows })));
            return Ok(());
        }
        (Visibility::Hidden { reason }, _) => reason.clone(),
        (Visibility::Visible { .. }, None) => "there is no Traefik beside this process".to_owned(),
    };
    if max_rate.is_some() {
        tracing::warn!(reason, "Connections cannot be logged");
    }
    table.set_source(Err(reason));
    Ok(())
}

/// Starts the thread of the log, so that the controller never waits for it.
fn start_log(insight: &Insight, traefik: Arc<Traefik>, flows: Flows, max_rate: u32) -> anyhow::Result<()> {
    let log = ConnectionLog::new(insight.clone(), max_rate, move |name| traefik.entry_point(name));
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let work = async move {
        match FlowEnds::start(flows).await {
            Ok(ends) => {
                tracing::info!(max_rate, "Logging connections when they have ended");
                log.run(ends).await;
            }
            Err(error) => tracing::warn!(error = %error.with_causes(), "Connections cannot be logged"),
        }
    };
    std::thread::Builder::new().name("connection-log".to_owned()).spawn(move || runtime.block_on(work))?;
    Ok(())
}

#[async_trait]
impl Source for KernelSource {
    async fn read(&self, pools: Vec<FlowPool>) -> Result<FlowTable, String> {
        if let Some(flows) = &self.logged {
            return flows.read(pools).await.map_err(|error| error.with_causes().to_string());
        }
        let new = || Flows::new(self.visibility.counting().as_ref());
        let flows = self.flows.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(new).clone();
        flows.read(pools).await.map_err(|error| error.with_causes().to_string())
    }

    fn entry_point(&self, name: &str) -> Option<EntryPoint> {
        self.traefik.entry_point(name)
    }

    fn forget(&self) {
        *self.flows.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
