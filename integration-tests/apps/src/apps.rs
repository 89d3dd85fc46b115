//! The applications.

mod game;
mod mqtt;
mod nats;
mod postgresql;
mod rabbitmq;
mod redis;
mod smtp;

use std::time::Duration;

use anyhow::bail;

use self::{game::Game, mqtt::Mqtt, nats::Nats, postgresql::PostgreSql, rabbitmq::RabbitMq, redis::Redis, smtp::Smtp};
use crate::{application::Application, event::Event, record::Record, soak::Sample, stage::Stage};

type Direct = PostgreSql<false>;
type PgBouncer = PostgreSql<true>;

/// Least pause of a client between its operations in a soak, in seconds: all applications share the machine.
const SOAK_PAUSE: f64 = 4.0;

/// Names of all applications, in the order of the page.
pub(crate) const NAMES: [&str; 8] =
    [Direct::NAME, PgBouncer::NAME, RabbitMq::NAME, Mqtt::NAME, Redis::NAME, Nats::NAME, Game::NAME, Smtp::NAME];

/// Application whose servers are prepared for it alone.
pub(crate) const RABBITMQ: &str = RabbitMq::NAME;

/// Runs a block in which a name stands for the type of an application, or returns an error.
macro_rules! with_application {
    ($name:expr, $type:ident => $block:expr) => {
        with_application!($name, $type => $block; Direct, PgBouncer, RabbitMq, Mqtt, Redis, Nats, Game, Smtp)
    };
    ($name:expr, $type:ident => $block:expr; $($application:ident),+) => {
        match $name {
            $($application::NAME => {
                type $type = $application;
                $block
            })+
            name => bail!("there is no application {name}"),
        }
    };
}

/// Plays one application.
pub(crate) async fn play(name: &str, is_wanted: impl Fn(Event) -> bool) -> anyhow::Result<Vec<Record>> {
    with_application!(name, Played => on_stage::<Played>(is_wanted).await)
}

/// Shows one application at work, with rules for closing.
pub(crate) async fn show(name: &str) -> anyhow::Result<Vec<Record>> {
    with_application!(name, Shown => {
        let mut stage = Stage::<Shown>::start(None).await?;
        let records = stage.show().await?;
        stage.end().await?;
        Ok(records)
    })
}

/// Soaks one application for as long as `wait_for_duration` returns, which is called as soon as its clients work.
pub(crate) async fn soak(
    name: &str,
    wait_for_duration: impl FnOnce() -> anyhow::Result<Duration>,
) -> anyhow::Result<Vec<Sample>> {
    with_application!(name, Soaked => {
        let mut stage = Stage::<Soaked>::start(Some(SOAK_PAUSE)).await?;
        let samples = stage.soak(wait_for_duration()?).await?;
        stage.end().await?;
        Ok(samples)
    })
}

/// Returns the guide of an application, which has `{table}` where the records belong.
pub(crate) fn guide(name: &str) -> anyhow::Result<&'static str> {
    with_application!(name, Described => Ok(Described::GUIDE))
}

/// Returns the example of the chart that is tried with an application.
#[cfg(test)]
pub(crate) fn example(name: &str) -> anyhow::Result<&'static str> {
    with_application!(name, Tried => Ok(Tried::EXAMPLE))
}

async fn on_stage<A: Application>(is_wanted: impl Fn(Event) -> bool) -> anyhow::Result<Vec<Record>> {
    let mut stage = Stage::<A>::start(None).await?;
    let records = stage.play(is_wanted).await?;
    stage.end().await?;
    Ok(records)
}
