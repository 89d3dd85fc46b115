use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;

use crate::{Applied, ConfigSink, Configuration, Error, Revision};

/// A Traefik without Traefik, for the tests of embedders: it keeps what is applied, and does what its script says.
///
/// ```
/// use ilb_traefik_client::{ConfigSink, Configuration, Error, FakeSink, Script};
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

/// What one call of `apply` does.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Script {
    /// Succeeds, which is also what happens when the script is over.
    Succeed,
    /// Succeeds after that time (Tokio's, which may be paused).
    SucceedAfter(Duration),
    /// Fails, and what was in force stays.
    Fail(Error),
    /// Fails, and the configuration is in force all the same, as when the answer was lost.
    FailButApply(Error),
    /// Never comes back.
    Hang,
}

#[derive(Debug)]
struct State {
    script: VecDeque<Script>,
    seen: Vec<Configuration>,
    in_force: Option<Configuration>,
    /// Which process it is.
    process: u64,
}

impl Default for FakeSink {
    /// Nothing in force, and every call succeeds.
    fn default() -> Self {
        Self { state: Mutex::new(State { script: VecDeque::new(), seen: Vec::new(), in_force: None, process: 1 }) }
    }
}

impl FakeSink {
    /// What the next calls of `apply` do, after those that are scripted already.
    pub fn script(&self, next: impl IntoIterator<Item = Script>) {
        self.lock().script.extend(next);
    }

    /// Loses what is in force and comes back as another process.
    pub fn restart(&self) {
        let mut state = self.lock();
        state.in_force = None;
        state.process += 1;
    }

    /// Has something else in force, as when somebody else has written.
    pub fn overwrite(&self, configuration: Configuration) {
        self.lock().in_force = Some(configuration);
    }

    /// What is in force.
    pub fn in_force(&self) -> Option<Configuration> {
        self.lock().in_force.clone()
    }

    /// Every configuration that `apply` was called with, in order.
    pub fn seen(&self) -> Vec<Configuration> {
        self.lock().seen.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put_in_force(&self, configuration: &Configuration, took: Duration) -> Applied {
        let mut state = self.lock();
        state.in_force = Some(configuration.clone());
        Applied::new(Revision::from(configuration), format!("process {}", state.process), "fake".to_owned(), took)
    }
}

#[async_trait]
impl ConfigSink for FakeSink {
    async fn apply(&self, configuration: &Configuration) -> Result<Applied, Error> {
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
            Script::Fail(error) => Err(error),
            Script::FailButApply(error) => {
                self.put_in_force(configuration, Duration::ZERO);
                Err(error)
            }
            Script::Hang => std::future::pending().await,
        }
    }

    async fn verify(&self, applied: &Applied) -> Result<(), Error> {
        let state = self.lock();
        if applied.started != format!("process {}", state.process) {
            return Err(Error::Restarted);
        }
        match &state.in_force {
            Some(configuration) if Revision::from(configuration) == applied.revision => Ok(()),
            _ => Err(Error::Overwritten(applied.revision.clone())),
        }
    }
}
