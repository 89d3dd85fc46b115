//! Scenarios: clients that stay connected, and backends that are added.

use std::time::Duration;

use crate::{age, workload::Workload};

/// A number of clients, and a number of backends that grows.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// Number of backends before.
    pub(crate) before: usize,
    /// Number of backends after.
    pub(crate) after: usize,
    pub(crate) clients: usize,
    /// Mean time for which a client thinks between its requests.
    pub(crate) think: Duration,
    /// Workloads of the clients, one row for each measurement: each client has one of them, by lot.
    workloads: &'static [&'static [Workload]],
    /// Closings a second at which closing by age is measured.
    rates_by_age: &'static [u32],
}

/// One measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) scenario: &'static Scenario,
    pub(crate) contender: Contender,
    /// Closings a second.
    pub(crate) rate: u32,
    pub(crate) workloads: &'static [Workload],
}

/// A rule by which connections are closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contender {
    /// The rebalance of ilb.
    Ilb,
    /// The end of each connection at some age, whatever goes on.
    ByAge,
}

/// The scenarios that the others vary: those of 400 clients.
const FEW: Scenario = Scenario {
    name: "4-to-8-400",
    before: 4,
    after: 8,
    clients: 400,
    think: Duration::from_millis(500),
    workloads: &[&[Workload::A], &[Workload::B]],
    // At 50 the age would be 7 s.
    rates_by_age: &[10],
};

/// Closings a second that are measured.
pub(crate) const RATES: [u32; 2] = [10, 50];

/// Clients that think 20 times as long, so that as many requests are made by 20 times as many of them.
const MANY: Scenario = Scenario {
    name: "4-to-8-8000",
    clients: 8_000,
    think: Duration::from_secs(10),
    workloads: &[&[Workload::A, Workload::B]],
    // At 10 a second it would take longer than all of the others.
    rates_by_age: &[50],
    ..FEW
};

pub(crate) static SCENARIOS: [Scenario; 4] = [
    FEW,
    Scenario { name: "8-to-10-400", before: 8, after: 10, ..FEW },
    MANY,
    Scenario { name: "8-to-10-8000", before: 8, after: 10, ..MANY },
];

impl Scenario {
    /// Returns the measurements of this scenario, in the order of the report.
    pub(crate) fn cases(&'static self) -> impl Iterator<Item = Case> {
        RATES.iter().flat_map(move |rate| {
            let contenders = Contender::ALL.into_iter().filter(move |contender| self.concerns(*contender, *rate));
            contenders.flat_map(move |contender| {
                let case =
                    move |workloads: &&'static [Workload]| Case { scenario: self, contender, rate: *rate, workloads };
                self.workloads.iter().map(case)
            })
        })
    }

    /// Returns the least number of connections that have to move until all backends have as many.
    pub(crate) fn minimum(&self) -> usize {
        self.clients * (self.after - self.before) / self.after
    }

    fn concerns(&self, contender: Contender, rate: u32) -> bool {
        contender == Contender::Ilb || self.rates_by_age.contains(&rate)
    }
}

impl Case {
    /// Returns the name, which no other case of the scenario has.
    pub(crate) fn name(&self) -> String {
        format!("{} {}/s {}", self.contender.name(), self.rate, self.workload_names())
    }

    /// Returns the names of the workloads.
    pub(crate) fn workload_names(&self) -> String {
        self.workloads.iter().map(|workload| workload.name()).collect::<Vec<_>>().join("+")
    }

    /// Returns the age at which as many connections are closed a second as the rate says.
    #[allow(clippy::cast_precision_loss, reason = "there are few clients")]
    pub(crate) fn age(&self) -> Duration {
        Duration::from_secs_f64(self.scenario.clients as f64 / f64::from(self.rate) / (1.0 + age::JITTER / 2.0))
    }

    /// Returns the time after which the backends are taken not to become level.
    #[allow(clippy::cast_precision_loss, reason = "there are few clients")]
    pub(crate) fn limit(&self) -> Duration {
        Duration::from_secs_f64(2.0 * self.scenario.minimum() as f64 / f64::from(self.rate) + 120.0)
    }
}

impl Contender {
    /// All contenders, in the order of the report.
    pub(crate) const ALL: [Self; 2] = [Self::Ilb, Self::ByAge];

    /// Returns the name in arguments and reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ilb => "ilb",
            Self::ByAge => "by-age",
        }
    }
}
