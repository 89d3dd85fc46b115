//! The log of connections: a line for each one that has ended.

use std::{sync::Arc, time::Instant};

use ilb_connections::{ClosedFlow, EndedFlows, FlowEnds};
use ilb_traefik_client::client::EntryPoint;

use super::{
    rate::SampledRate,
    snapshot::{Names, pools_of},
};
use crate::observe::insight::{ConnectionLogCounts, Facts, Insight, PoolFacts};

/// Returns an entry point of Traefik by its name, if it is known.
type EntryPoints = dyn Fn(&str) -> Option<EntryPoint> + Send + Sync;

/// Logs connections when they have ended.
pub(crate) struct ConnectionLog {
    insight: Insight,
    entry_points: Arc<EntryPoints>,
    rate: SampledRate,
    counts: Arc<ConnectionLogCounts>,
    names: Names,
}

/// Age up to which the bounds of a duration may differ and are still written as one.
const SHORT: std::time::Duration = std::time::Duration::from_millis(1);

impl ConnectionLog {
    /// Creates a log of at most `max_rate` lines a second.
    pub(crate) fn new(
        insight: Insight,
        max_rate: u32,
        entry_points: impl Fn(&str) -> Option<EntryPoint> + Send + Sync + 'static,
    ) -> Self {
        let counts = insight.log_connections();
        let (rate, entry_points) = (SampledRate::new(max_rate.into(), Instant::now()), Arc::new(entry_points));
        Self { insight, entry_points, rate, counts, names: Names::default() }
    }

    /// Logs connections for as long as it is polled.
    pub(crate) async fn run(mut self, mut ends: FlowEnds) {
        let mut news = self.insight.subscribe();
        let mut known = None;
        loop {
            let facts = self.insight.snapshot();
            let version = Some(self.version(&facts));
            if version != known {
                let (pools, names) = pools_of(&facts, |name| (self.entry_points)(name));
                ends.set_pools(&pools);
                (self.names, known) = (names, version);
            }
            drop(facts);
            loop {
                tokio::select! {
                    biased;
                    // First: before a new connection can end, the backend that it goes to has to be known here.
                    changed = news.changed() => match changed {
                        Ok(()) => break,
                        Err(_) => return,
                    },
                    ended = ends.next() => self.log(&ended),
                }
            }
        }
    }

    /// Returns what is different whenever the pools are.
    fn version(&self, facts: &Facts) -> Vec<(String, tokio::time::Instant, u64, Option<EntryPoint>)> {
        let version = |(name, pool): (&String, &PoolFacts)| {
            let (added, sets) = pool.version();
            (name.clone(), added, sets, (self.entry_points)(&pool.entry_point))
        };
        facts.pools.iter().map(version).collect()
    }

    fn log(&mut self, ended: &EndedFlows) {
        if ended.has_lost_some {
            self.counts.add_overrun();
            tracing::warn!(
                "The kernel has announced more closed connections than could be received: some are not logged"
            );
        }
        self.counts.add_unknown(ended.unknown);
        for flow in &ended.closed {
            match self.rate.offer(Instant::now()) {
                Some(left_out) => {
                    self.counts.add_line();
                    line(flow, &self.names, left_out);
                }
                None => self.counts.add_left_out(),
            }
        }
    }
}

/// Logs a connection that has ended.
fn line(flow: &ClosedFlow, names: &Names, left_out: u64) {
    let ClosedFlow { client, backend, local, age, to_backend, from_backend, is_exact, .. } = flow;
    let pod = names.pod(*backend);
    let client = client.map(|client| client.to_string());
    let pool = flow.pool.and_then(|pool| names.pool(pool));
    let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let max_duration_ms = age.at_most.filter(|_| !age.is_known_within(SHORT)).map(millis);
    tracing::info!(
        client,
        %backend,
        %local,
        pool,
        pod = pod.map(ilb_discovery::PodRef::name),
        namespace = pod.map(ilb_discovery::PodRef::namespace),
        duration_ms = millis(age.at_least),
        max_duration_ms,
        bytes_to_backend = to_backend,
        bytes_from_backend = from_backend,
        incomplete = (!is_exact).then_some(true),
        left_out = (left_out > 0).then_some(left_out),
        "Connection closed"
    );
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ilb_connections::Age;

    use super::*;
    use crate::process::collected_lines::Lines;

    fn flow(client: Option<&str>) -> ClosedFlow {
        let address = |text: &str| text.parse().unwrap();
        let age = Age { at_least: Duration::from_millis(1_500), at_most: None };
        ClosedFlow::new(address("10.0.0.9:40000"), address("10.0.0.1:80"), age, (10, 20))
            .with_client(client.map(address))
    }

    #[test]
    fn a_line_has_what_is_certain_and_no_more() {
        let (lines, subscriber) = Lines::subscriber();
        let _guard = tracing::subscriber::set_default(subscriber);
        line(&flow(Some("192.0.2.1:50000")), &Names::default(), 0);
        line(&flow(None), &Names::default(), 7);
        let lines = lines.take();
        let numbers =
            "backend=10.0.0.1:80 local=10.0.0.9:40000 duration_ms=1500 bytes_to_backend=10 bytes_from_backend=20";
        assert_eq!(
            lines,
            [
                format!("INFO Connection closed client=\"192.0.2.1:50000\" {numbers}"),
                format!("INFO Connection closed {numbers} left_out=7"),
            ]
        );
    }

    #[test]
    fn lines_and_what_is_missing_are_counted() {
        let (_, subscriber) = Lines::subscriber();
        let _guard = tracing::subscriber::set_default(subscriber);
        let insight = Insight::new();
        let mut log = ConnectionLog::new(insight.clone(), 2, |_| None);
        log.log(&EndedFlows { closed: vec![flow(None); 5], unknown: 3, has_lost_some: true });
        let counts = insight.read(|facts| facts.connection_log.clone()).unwrap();
        assert_eq!((counts.lines(), counts.left_out(), counts.unknown(), counts.overruns()), (2, 3, 3, 1));
    }
}
