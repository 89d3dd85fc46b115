//! The applications.

mod game;
mod mqtt;
mod nats;
mod postgresql;
mod redis;
mod smtp;

use anyhow::bail;

use self::{game::Game, mqtt::Mqtt, nats::Nats, postgresql::PostgreSql, redis::Redis, smtp::Smtp};
use crate::{application::Application, event::Event, record::Record, stage::Stage};

/// Names of all applications, in the order of the page.
pub(crate) const NAMES: [&str; 6] = [PostgreSql::NAME, Mqtt::NAME, Redis::NAME, Nats::NAME, Game::NAME, Smtp::NAME];

/// Plays one application.
pub(crate) async fn play(name: &str, is_wanted: impl Fn(Event) -> bool) -> anyhow::Result<Vec<Record>> {
    match name {
        PostgreSql::NAME => on_stage::<PostgreSql>(is_wanted).await,
        Mqtt::NAME => on_stage::<Mqtt>(is_wanted).await,
        Redis::NAME => on_stage::<Redis>(is_wanted).await,
        Nats::NAME => on_stage::<Nats>(is_wanted).await,
        Game::NAME => on_stage::<Game>(is_wanted).await,
        Smtp::NAME => on_stage::<Smtp>(is_wanted).await,
        _ => bail!("there is no application {name}"),
    }
}

/// Returns the guide of an application, which has `{table}` where the records belong.
pub(crate) fn guide(name: &str) -> anyhow::Result<&'static str> {
    Ok(match name {
        PostgreSql::NAME => include_str!("page/postgresql.md"),
        Mqtt::NAME => include_str!("page/mqtt.md"),
        Redis::NAME => include_str!("page/redis.md"),
        Nats::NAME => include_str!("page/nats.md"),
        Game::NAME => include_str!("page/websocket.md"),
        Smtp::NAME => include_str!("page/smtp.md"),
        _ => bail!("there is no application {name}"),
    })
}

/// Returns the example of the chart that is tried with an application.
#[cfg(test)]
pub(crate) fn example(name: &str) -> anyhow::Result<&'static str> {
    Ok(match name {
        PostgreSql::NAME => PostgreSql::EXAMPLE,
        Mqtt::NAME => Mqtt::EXAMPLE,
        Redis::NAME => Redis::EXAMPLE,
        Nats::NAME => Nats::EXAMPLE,
        Game::NAME => Game::EXAMPLE,
        Smtp::NAME => Smtp::EXAMPLE,
        _ => bail!("there is no application {name}"),
    })
}

async fn on_stage<A: Application>(is_wanted: impl Fn(Event) -> bool) -> anyhow::Result<Vec<Record>> {
    let mut stage = Stage::<A>::start().await?;
    let records = stage.play(is_wanted).await?;
    stage.end().await?;
    Ok(records)
}
