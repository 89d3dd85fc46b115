//! Runs steps: makes the faults of each, and looks whether all is as the model says.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use ilb_testbed::{BACKEND_PORT, Connection};
use serde::{Deserialize, Serialize};
use tokio::{sync::mpsc, time::sleep};

use crate::{
    change::PodState,
    clients::{Clients, Shared},
    fault::Fault,
    faults,
    judge::{Difference, Names, differences},
    limits,
    model::Model,
    resources::{Resources, Trend},
    schedule::Step,
    seen::Seen,
    setup::{POOLS, Setup, Slot},
    violation::Violation,
    world::World,
};

/// Time limit for the first configuration, and for pods that a fault needs: ilb waits for up to 10 s for the backends of all
/// pools.
const START_LIMIT: Duration = Duration::from_secs(30);
/// Time between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(60);
/// Time between two samples of the memory.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(150);

/// A step that is over.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// Number of the step.
    pub step: usize,
    /// Class of each fault, and the time in seconds after which ilb showed it, if it shows it.
    pub faults: Vec<(String, Option<f64>)>,
    /// Time in seconds from the end of the faults until all was as it should be.
    pub recovered: f64,
    /// New connections, those of them that have failed, and long connections that were ended.
    pub attempts: u64,
    /// See [`attempts`](Self::attempts).
    pub failed: u64,
    /// See [`attempts`](Self::attempts).
    pub ended: u64,
}

/// Outcome of a run.
#[derive(Debug)]
pub struct Outcome {
    /// Steps that have been begun.
    pub steps: Vec<Step>,
    /// Steps that are over.
    pub records: Vec<Record>,
    /// Memory and open files of each process of ilb that has lived long enough.
    pub trends: Vec<Trend>,
    /// Violation that has ended the run early, and the last lines of the log.
    pub violation: Option<(Violation, Vec<String>)>,
}

/// The end of a step before its time.
enum Stop {
    Violation(Violation),
    /// The testbed does not work.
    Broken(anyhow::Error),
}

impl From<anyhow::Error> for Stop {
    fn from(error: anyhow::Error) -> Self {
        Self::Broken(error)
    }
}

/// Runs steps on new components until they are over, or `time` is and `least` of them have been made, or something is not as
/// the model says.
pub async fn run(
    setup: Setup,
    steps: impl Iterator<Item = Step>,
    time: Duration,
    least: usize,
) -> anyhow::Result<Outcome> {
    let (sender, mut violations) = mpsc::unbounded_channel();
    let world = World::start(setup).await?;
    let group = world.group();
    let shared = Shared::new(Model::new(setup), sender, move |slot| group.address(slot.index(), BACKEND_PORT));
    let mut run = Run { world, shared, resources: Resources::default(), trends: Vec::new(), process: None };
    let mut outcome = Outcome { steps: Vec::new(), records: Vec::new(), trends: Vec::new(), violation: None };
    let result = async {
        run.settle(Instant::now(), &Wanted::start()).await?;
        let begun = Instant::now();
        let _clients = Clients::start(&run.shared, |traefik, pool| run.world.entry_point(traefik, pool));
        for step in steps {
            if begun.elapsed() >= time && outcome.steps.len() >= least {
                break;
            }
            eprintln!("chaos: {:>4.0} s, {}, {step}", begun.elapsed().as_secs_f64(), setup.name());
            outcome.steps.push(step.clone());
            let record = tokio::select! {
                biased;
                Some(violation) = violations.recv() => Err(Stop::Violation(violation)),
                record = run.step(&step) => record,
            }?;
            outcome.records.push(record);
        }
        run.end_of_process().map_err(Stop::Violation)
    }
    .await;
    outcome.trends = run.trends;
    match result {
        Ok(()) => {}
        Err(Stop::Violation(violation)) => outcome.violation = Some((violation, run.world.log.tail(30))),
        Err(Stop::Broken(error)) => {
            return Err(error.context(format!("the testbed has failed after {} steps", outcome.records.len())));
        }
    }
    Ok(outcome)
}

/// A state that is waited for, and for how long.
struct Wanted {
    what: &'static str,
    within: Duration,
    because: String,
}

impl Wanted {
    fn start() -> Self {
        Self {
            what: "everything is as the model says",
            within: START_LIMIT,
            because: "the first push waits for the backends of all pools for up to 10 s".to_owned(),
        }
    }

    fn during(faults: &[Fault]) -> Self {
        Self {
            what: "ilb and Traefik are as the model says while the faults are at work",
            within: limits::noticed_within(faults),
            because: limits::reasons(faults),
        }
    }

    fn after(faults: &[Fault]) -> Self {
        Self {
            what: "everything is as it was before the faults",
            within: limits::right_within(faults),
            because: limits::reasons(faults),
        }
    }
}

/// A run at work.
struct Run {
    world: World,
    shared: Arc<Shared>,
    resources: Resources,
    trends: Vec<Trend>,
    /// Process of ilb to which the samples belong.
    process: Option<u32>,
}

impl Run {
    async fn step(&mut self, step: &Step) -> Result<Record, Stop> {
        self.stay_calm(step.calm).await?;
        self.provide(&step.faults).await?;
        self.shared.take_tally();
        let (mut begun, mut made) = (Vec::new(), Vec::new());
        for fault in &step.faults {
            begun.push(Instant::now());
            // The making of some waits for what ilb does.
            let violation = |expected: &str, error| {
                Stop::Violation(Violation {
                    kind: "never right",
                    expected: expected.to_owned(),
                    seen: format!("{error:#}"),
                })
            };
            self.make(*fault).await.map_err(|error| match fault {
                Fault::LogNotRead => {
                    violation("wrong settings are refused, and lost lines of the log are counted", error)
                }
                Fault::IlbTerminated => violation("ilb exits successfully at SIGTERM", error),
                _ => Stop::Broken(error.context(format!("cannot make: {fault}"))),
            })?;
            // To make some faults takes a while, such as filling a pipe.
            made.push(Instant::now());
        }
        let mut later = Vec::new();
        for change in &step.changes {
            if self.shared.model().is_api_writable() {
                self.shared.model().change(*change, Instant::now());
                self.world.change(*change).await?;
            } else {
                later.push(*change);
            }
        }
        let mut noticed = vec![None; made.len()];
        self.wait_until_noticed(&step.faults, &made, &mut noticed).await?;
        // What is over already is on its way to be right again.
        let is_over = step.faults.iter().all(|fault| fault.is_instant());
        if !is_over {
            self.hold(step.hold).await?;
        }
        for fault in step.faults.iter().rev() {
            self.heal(*fault).await.with_context(|| format!("cannot heal: {fault}"))?;
        }
        let healed = made.last().copied().filter(|_| is_over).unwrap_or_else(Instant::now);
        for change in later {
            self.shared.model().change(change, Instant::now());
            self.world.change(change).await?;
        }
        self.settle(healed, &Wanted::after(&step.faults)).await?;
        let recovered = healed.elapsed().as_secs_f64();
        for (index, fault) in step.faults.iter().enumerate() {
            if noticed[index].is_none() {
                let line = self.world.log.first_since(begun[index], faults::log_lines(*fault));
                noticed[index] = line.map(|line| line.saturating_duration_since(made[index]));
            }
        }
        let tally = self.shared.take_tally();
        self.end_absent_servers().await;
        let shown = noticed.iter().map(|after: &Option<Duration>| after.map(|after| after.as_secs_f64()));
        Ok(Record {
            step: step.number,
            faults: step.faults.iter().map(|fault| fault.class().to_owned()).zip(shown).collect(),
            recovered,
            attempts: tally.attempts,
            failed: tally.failed,
            ended: tally.ended,
        })
    }

    /// Lets some time pass without a fault, and takes samples of the memory.
    async fn stay_calm(&mut self, time: Duration) -> Result<(), Stop> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            let process = self.world.ilb()?.process().id();
            if self.process != Some(process) {
                self.end_of_process().map_err(Stop::Violation)?;
                self.process = Some(process);
            }
            self.resources.sample(process)?;
            self.check_probes(Some(true)).await?;
            sleep(SAMPLE_INTERVAL).await;
        }
        Ok(())
    }

    /// Judges the memory and the files of the process that the samples belong to.
    fn end_of_process(&mut self) -> Result<(), Violation> {
        let Some(trend) = std::mem::take(&mut self.resources).trend() else { return Ok(()) };
        self.trends.push(trend);
        trend.growth().map_or(Ok(()), |seen| {
            Err(Violation { kind: "growth", expected: "memory and open files stay the same".to_owned(), seen })
        })
    }

    async fn make(&mut self, fault: Fault) -> anyhow::Result<()> {
        let pods = faults::pods_of(&self.shared.model());
        self.shared.model().begin(fault, Instant::now());
        for change in faults::changes_of(fault, &pods) {
            self.shared.model().change(change, Instant::now());
        }
        faults::make(&mut self.world, fault, pods).await?;
        self.shared.model().made(fault, Instant::now());
        Ok(())
    }

    async fn heal(&mut self, fault: Fault) -> anyhow::Result<()> {
        for change in faults::changes_back(fault) {
            self.shared.model().change(change, Instant::now());
        }
        let ends_traefik = if let Fault::TraefikStuck(traefik) = fault { Some(traefik) } else { None };
        let ends = |run: &Self| ends_traefik.map(|traefik| run.shared.model().kill_traefik(traefik, Instant::now()));
        ends(self);
        faults::heal(&mut self.world, fault).await?;
        // A connection that was opened until then has a reason to end, too.
        ends(self);
        self.shared.model().heal(fault);
        Ok(())
    }

    /// Brings the pods into the states that these faults need.
    async fn provide(&mut self, faults: &[Fault]) -> Result<(), Stop> {
        let needed: Vec<_> = faults.iter().flat_map(|fault| fault.needs()).collect();
        for change in &needed {
            self.shared.model().change(*change, Instant::now());
            self.world.change(*change).await?;
        }
        if needed.is_empty() { Ok(()) } else { self.settle(Instant::now(), &Wanted::start()).await }
    }

    /// Waits until ilb shows all that the model says, and notes when it has shown each fault.
    async fn wait_until_noticed(
        &mut self,
        faults: &[Fault],
        made: &[Instant],
        noticed: &mut [Option<Duration>],
    ) -> Result<(), Stop> {
        let shared = Arc::clone(&self.shared);
        self.wait(&Wanted::during(faults), async |found: &[Difference]| {
            let expected = shared.model().expected();
            for ((fault, made), noticed) in faults.iter().zip(made).zip(&mut *noticed) {
                let must_be_shown =
                    expected.unready_by == Some(*fault) || expected.degraded.iter().any(|(_, of)| of == &Some(*fault));
                let is_shown = must_be_shown && !found.iter().any(|one| one.fault == Some(*fault));
                let is_taken_in = fault.is_change() && found.is_empty();
                if noticed.is_none() && (is_shown || is_taken_in) {
                    *noticed = Some(made.elapsed());
                }
            }
            Ok(())
        })
        .await
    }

    /// Checks for a while what must hold at every moment.
    async fn hold(&mut self, time: Duration) -> Result<(), Stop> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            let expected = self.shared.model().expected();
            if expected.ilb_answers {
                self.check_probes(expected.ready).await?;
            }
            sleep(LOOK_INTERVAL).await;
        }
        Ok(())
    }

    async fn check_probes(&mut self, ready: Option<bool>) -> Result<(), Stop> {
        self.check_running()?;
        let probe = Seen::probe(&self.world.admin).await;
        let violation = |kind, expected: String, seen| Stop::Violation(Violation { kind, expected, seen });
        let (live, code, text) =
            probe.map_err(|e| violation("probes", "probes are answered".to_owned(), format!("{e:#}")))?;
        if live != 200 {
            return Err(violation("probes", "/livez succeeds".to_owned(), format!("its status code is {live}")));
        }
        match ready {
            Some(ready) if ready != (code == 200) => {
                Err(violation("readiness", format!("ready: {ready}"), format!("/readyz: {code} {}", text.trim())))
            }
            _ => Ok(()),
        }
    }

    fn check_running(&mut self) -> Result<(), Stop> {
        self.world.ilb()?.check_running().map_err(|error| {
            let expected = "ilb runs until it is ended".to_owned();
            Stop::Violation(Violation { kind: "ilb ended", expected, seen: format!("{error:#}") })
        })
    }

    /// Waits until all is as it should be without faults.
    async fn settle(&mut self, healed: Instant, wanted: &Wanted) -> Result<(), Stop> {
        let shared = Arc::clone(&self.shared);
        let addresses: Vec<_> = (0..self.world.setup.traefiks())
            .flat_map(|traefik| (0..POOLS.len()).map(move |pool| (traefik, pool)))
            .map(|(traefik, pool)| (pool, self.world.entry_point(traefik, pool)))
            .collect();
        self.wait(wanted, async |found: &[Difference]| {
            if found.is_empty() {
                for (pool, address) in &addresses {
                    let is_served = !shared.model().ready_pods(*pool).is_empty();
                    if is_served {
                        Connection::open(*address).await.with_context(|| format!("pool {}", POOLS[*pool].name))?;
                    }
                }
            }
            Ok(())
        })
        .await?;
        self.shared.model().settle(Instant::now());
        eprintln!("chaos:         as it should be after {:.1} s", healed.elapsed().as_secs_f64());
        Ok(())
    }

    /// Looks again and again until nothing differs from the model, and `more` succeeds, which gets the differences.
    async fn wait(
        &mut self,
        wanted: &Wanted,
        mut more: impl AsyncFnMut(&[Difference]) -> anyhow::Result<()>,
    ) -> Result<(), Stop> {
        let deadline = Instant::now() + wanted.within;
        loop {
            let expected = self.shared.model().expected();
            if expected.ilb_answers {
                self.check_running()?;
            }
            let differs = match self.look().await {
                Ok(found) => {
                    let more = more(&found).await;
                    let mut texts: Vec<_> = found.into_iter().map(|one| one.text).collect();
                    texts.extend(more.err().map(|error| format!("{error:#}")));
                    texts
                }
                Err(error) => vec![format!("{error:#}")],
            };
            if differs.is_empty() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let Wanted { what, within, because } = wanted;
                let expected = format!("{what}, within {} s: {because}", within.as_secs());
                return Err(Stop::Violation(Violation { kind: "never right", expected, seen: differs.join("\n") }));
            }
            sleep(LOOK_INTERVAL).await;
        }
    }

    async fn look(&mut self) -> anyhow::Result<Vec<Difference>> {
        let expected = self.shared.model().expected();
        let seen = Seen::ask(&mut self.world, &expected).await?;
        let traefiks = self.world.traefiks.iter().map(|(_, proxy)| proxy.address().to_string()).collect();
        let address_of = |slot| self.shared.address(slot);
        Ok(differences(&expected, &seen, &Names { traefiks, address_of: &address_of }))
    }

    /// Ends the backends whose pods have gone, once no client can be on its way to them.
    async fn end_absent_servers(&mut self) {
        let settled = Instant::now();
        while self.shared.has_attempts_older_than(settled) {
            sleep(LOOK_INTERVAL).await;
        }
        let absent = Slot::all().filter(|slot| self.shared.model().pod(*slot) == PodState::Absent);
        for slot in absent.collect::<Vec<_>>() {
            self.shared.model().end_server(slot, Instant::now());
            self.world.servers.remove(&slot);
            // A connection that is opened until then has a reason to end, too.
            self.shared.model().end_server(slot, Instant::now());
        }
    }
}
