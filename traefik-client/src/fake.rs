//! A scriptable fake of a Traefik, for tests.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;

use crate::{
    Applied, ConfigSink, Configuration, Error, Member, Name, Revision,
    model::{TcpRouter, TcpService},
    process::StartDate,
};

/// A fake Traefik for the tests of embedders: it keeps the applied configuration and plays a script.
///
/// ```
/// use ilb_traefik_client::{
///     ConfigSink, Configuration, Error,
///     fake::{FakeSink, Script},
/// };
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// let fake = FakeSink::default();
/// fake.script([Script::Fail(Error::Restarted)]);
/// assert_eq!(fake.apply(&Configuration::default()).await, Err(Error::Restarted));
/// let applied = fake.apply(&Configuration::default()).await?;
/// fake.restart();
/// assert_eq!(fake.verify(&applied).await, Err(Error::Restarted));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct FakeSink {
    state: Mutex<State>,
}

/// Behaviour of one call of `apply`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Script {
    /// Succeeds, like each call after the end of the script.
    Succeed,
    /// Succeeds after this time (of Tokio's clock, which may be paused).
    SucceedAfter(Duration),
    /// Succeeds, but for these routers.
    SucceedExcept(BTreeMap<Name, Error>),
    /// Fails, and leaves the earlier configuration in force.
    Fail(Error),
    /// Fails after this time, like [`Fail`](Self::Fail).
    FailAfter(Duration, Error),
    /// Puts the configuration in force and fails, as when the response was lost.
    FailButApply(Error),
    /// Never returns.
    Hang,
}

#[derive(Debug)]
struct State {
    script: VecDeque<Script>,
    seen: Vec<Configuration>,
    in_force: Option<Configuration>,
    /// True while each call fails.
    is_away: bool,
    /// Number of the process.
    process: u64,
}

impl State {
    fn started(&self) -> StartDate {
        format!("process {}", self.process).as_str().into()
    }
}

impl Default for FakeSink {
    /// Creates a fake without a configuration, of which each call succeeds.
    fn default() -> Self {
        let state = State { script: VecDeque::new(), seen: Vec::new(), in_force: None, is_away: false, process: 1 };
        Self { state: Mutex::new(state) }
    }
}

impl FakeSink {
    /// Appends the behaviour of the next calls of `apply` to the script.
    pub fn script(&self, next: impl IntoIterator<Item = Script>) {
        self.lock().script.extend(next);
    }

    /// Makes each call fail from now on, or no call any more. The configuration stays in force, and the script as it is.
    pub fn set_away(&self, is_away: bool) {
        self.lock().is_away = is_away;
    }

    fn check_reachable(&self) -> Result<(), Error> {
        if self.lock().is_away { Err(Error::unreachable("the fake is away")) } else { Ok(()) }
    }

    /// Loses the configuration and continues as another process.
    pub fn restart(&self) {
        let mut state = self.lock();
        state.in_force = None;
        state.process += 1;
    }

    /// Puts another configuration in force, as another client would.
    pub fn overwrite(&self, configuration: Configuration) {
        self.lock().in_force = Some(configuration);
    }

    /// Returns the configuration in force.
    pub fn in_force(&self) -> Option<Configuration> {
        self.lock().in_force.clone()
    }

    /// Returns every configuration that `apply` was called with, in order.
    pub fn seen(&self) -> Vec<Configuration> {
        self.lock().seen.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put_in_force(&self, configuration: &Configuration, took: Duration) -> Applied {
        let mut state = self.lock();
        state.in_force = Some(configuration.clone());
        Applied::new(Revision::from(configuration), state.started(), "fake".into(), took)
    }
}

#[async_trait]
impl ConfigSink for FakeSink {
    async fn apply(&self, configuration: &Configuration) -> Result<Applied, Error> {
        self.check_reachable()?;
        let script = {
            let mut state = self.lock();
            state.seen.push(configuration.clone());
            state.script.pop_front().unwrap_or(Script::Succeed)
        };
        match script {
            Script::Succeed => Ok(self.put_in_force(configuration, Duration::ZERO)),
            Script::SucceedAfter(duration) => {
                tokio::time::sleep(duration).await;
                Ok(self.put_in_force(configuration, duration))
            }
            Script::SucceedExcept(faults) => {
                let mut applied = self.put_in_force(configuration, Duration::ZERO);
                applied.faults = faults;
                Ok(applied)
            }
            Script::Fail(error) => Err(error),
            Script::FailAfter(duration, error) => {
                tokio::time::sleep(duration).await;
                Err(error)
            }
            Script::FailButApply(error) => {
                self.put_in_force(configuration, Duration::ZERO);
                Err(error)
            }
            Script::Hang => std::future::pending().await,
        }
    }

    async fn verify(&self, applied: &Applied) -> Result<(), Error> {
        self.check_reachable()?;
        let state = self.lock();
        if applied.started != state.started() {
            return Err(Error::Restarted);
        }
        match &state.in_force {
            Some(configuration) if Revision::from(configuration) == applied.revision => Ok(()),
            _ => Err(Error::Overwritten(applied.revision.clone())),
        }
    }

    async fn pools_in_force(&self) -> Result<BTreeMap<Name, Vec<Member>>, Error> {
        self.check_reachable()?;
        let in_force = self.in_force().unwrap_or_default();
        let pool = |(name, router): (&Name, &TcpRouter)| (name.clone(), members(&in_force, router.service()));
        Ok(in_force.tcp.routers.iter().map(pool).collect())
    }
}

/// Returns the servers of a service, by the weights of their own services if it has such.
fn members(configuration: &Configuration, service: &Name) -> Vec<Member> {
    let servers = |name: &Name, weight| match configuration.tcp.services.get(name.as_str()) {
        Some(TcpService::LoadBalancer(balancer)) => {
            balancer.servers.iter().map(|server| Member::new(server.address, weight)).collect()
        }
        _ => Vec::new(),
    };
    match configuration.tcp.services.get(service.as_str()) {
        Some(TcpService::Weighted(weighted)) => {
            weighted.services.iter().flat_map(|child| servers(&child.name, child.weight.get())).collect()
        }
        _ => servers(service, 1),
    }
}
