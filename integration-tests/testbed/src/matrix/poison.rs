//! Payloads that break Traefik when they are sent raw. The typed model cannot express any of them.

use std::time::Duration;

use anyhow::{bail, ensure};
use ilb_traefik_client::{ConfigSink, Configuration, Error};
use tokio::time::timeout;

use super::{
    check::{Check, Version},
    configurations::{addresses, client, pool},
};
use crate::{Backend, BareTraefik, Behaviour, Connection, eventually};

/// The router of each payload.
const ROUTER: &str = r#""routers":{"r":{"entryPoints":["tcp"],"rule":"HostSNI(`*`)","priority":100,"service":"s"}}"#;

/// Returns the checks that a payload breaks Traefik when it is sent raw.
pub fn poisons() -> Vec<Check> {
    let dead = |_: Version| "200, then nothing is ever applied";
    vec![
        Check { name: "a null router", expected: dead, run: |t| Box::pin(null_router(t)) },
        Check { name: "a null service in use", expected: dead, run: |t| Box::pin(null_service(t)) },
        Check {
            name: "a service that contains itself",
            expected: |_| "200, then the process ends",
            run: |t| Box::pin(circle(t)),
        },
        Check {
            name: "a negative weight",
            expected: |v| if v >= (3, 7, 12) { "router disabled" } else { "connections hang" },
            run: |t| Box::pin(negative_weight(t)),
        },
        Check {
            name: "a health check without timeout",
            expected: |v| if v >= (3, 6, 0) { "all servers down" } else { "not known" },
            run: |t| Box::pin(no_timeout(t)),
        },
        Check { name: "a service named with `@`", expected: |_| "router disabled", run: |t| Box::pin(foreign_name(t)) },
        Check { name: "a duration without unit", expected: |_| "400", run: |t| Box::pin(no_unit(t)) },
        Check {
            name: "a configuration without maps",
            expected: |_| "200, then ignored",
            run: |t| Box::pin(no_maps(t)),
        },
    ]
}

/// Sends `body` raw, and finds out whether Traefik still applies a configuration after that.
async fn is_dead_after(traefik: &BareTraefik, body: &str) -> anyhow::Result<String> {
    refused_by_the_model(body)?;
    let (status, _) = traefik.put_raw(body).await?;
    ensure!(status == 200, "status {status}");
    let client = ilb_traefik_client::Traefik::builder(&traefik.url()).proof_within(Duration::from_secs(2)).build()?;
    match client.apply(&pool([(addresses(1)?[0], 1)])?).await {
        Err(Error::NotApplied { looks_dead: true, .. }) if traefik.ping().await? => {
            Ok("200, then nothing is ever applied".to_owned())
        }
        other => bail!("{other:?}"),
    }
}

/// Returns an error if the typed model can parse `body`.
fn refused_by_the_model(body: &str) -> anyhow::Result<()> {
    ensure!(serde_json::from_str::<Configuration>(body).is_err(), "the model can express {body}");
    Ok(())
}

async fn null_router(traefik: BareTraefik) -> anyhow::Result<String> {
    is_dead_after(&traefik, r#"{"tcp":{"routers":{"r":null},"services":{}}}"#).await
}

async fn null_service(traefik: BareTraefik) -> anyhow::Result<String> {
    is_dead_after(&traefik, &format!(r#"{{"tcp":{{{ROUTER},"services":{{"s":null}}}}}}"#)).await
}

async fn circle(mut traefik: BareTraefik) -> anyhow::Result<String> {
    let body = format!(
        r#"{{"tcp":{{{ROUTER},"services":{{"s":{{"weighted":{{"services":[{{"name":"s","weight":1}}]}}}}}}}}}}"#
    );
    refused_by_the_model(&body)?;
    let (status, _) = traefik.put_raw(&body).await?;
    ensure!(status == 200, "status {status}");
    eventually("the process ends", async || match traefik.check_running() {
        Err(_) => Ok(()),
        Ok(()) => bail!("it runs"),
    })
    .await?;
    Ok("200, then the process ends".to_owned())
}

async fn negative_weight(traefik: BareTraefik) -> anyhow::Result<String> {
    let addresses = addresses(2)?;
    let _backend = Backend::start(addresses[0], Behaviour::Echo).await?;
    let [a, b] = [addresses[0], addresses[1]];
    let body = format!(
        r#"{{"tcp":{{{ROUTER},"services":{{
            "s":{{"weighted":{{"services":[{{"name":"a","weight":-1}},{{"name":"b","weight":-1}}]}}}},
            "a":{{"loadBalancer":{{"servers":[{{"address":"{a}"}}]}}}},
            "b":{{"loadBalancer":{{"servers":[{{"address":"{b}"}}]}}}}}}}}}}"#
    );
    refused_by_the_model(&body)?;
    traefik.put_raw(&body).await?;
    let router = eventually("the router is listed", async || traefik.api("tcp/routers/r@rest").await).await?;
    if router["status"] == "disabled" {
        return Ok("router disabled".to_owned());
    }
    match timeout(Duration::from_secs(2), Connection::open(traefik.entry_point())).await {
        Err(_) => Ok("connections hang".to_owned()),
        Ok(Err(_)) => Ok("connections are closed".to_owned()),
        Ok(Ok(_)) => Ok("harmless".to_owned()),
    }
}

async fn no_timeout(traefik: BareTraefik) -> anyhow::Result<String> {
    let address = addresses(1)?[0];
    let _backend = Backend::start(address, Behaviour::Echo).await?;
    let service =
        format!(r#"{{"loadBalancer":{{"servers":[{{"address":"{address}"}}],"healthCheck":{{"interval":"200ms"}}}}}}"#);
    let body = format!(r#"{{"tcp":{{{ROUTER},"services":{{"s":{service}}}}}}}"#);
    refused_by_the_model(&body)?;
    let (_, echo) = traefik.put_raw(&body).await?;
    if !echo.contains("healthCheck") {
        return Ok("not known".to_owned());
    }
    eventually("the server is down", async || {
        let service = traefik.api("tcp/services/s@rest").await?;
        ensure!(service["serverStatus"][address.to_string()] == "DOWN", "{service}");
        Ok(())
    })
    .await?;
    Ok("all servers down".to_owned())
}

async fn foreign_name(traefik: BareTraefik) -> anyhow::Result<String> {
    let router = ROUTER.replace(r#""service":"s""#, r#""service":"s@x""#);
    let body = format!(r#"{{"tcp":{{{router},"services":{{"s@x":{{"loadBalancer":{{}}}}}}}}}}"#);
    refused_by_the_model(&body)?;
    traefik.put_raw(&body).await?;
    let router = eventually("the router is listed", async || traefik.api("tcp/routers/r@rest").await).await?;
    Ok(format!("router {}", router["status"].as_str().unwrap_or_default()))
}

async fn no_unit(traefik: BareTraefik) -> anyhow::Result<String> {
    let body = r#"{"tcp":{"serversTransports":{"t":{"dialTimeout":"5"}}}}"#;
    refused_by_the_model(body)?;
    Ok(traefik.put_raw(body).await?.0.to_string())
}

/// Sends an empty configuration without maps, which is ignored, where that of the model, with maps, is applied.
async fn no_maps(traefik: BareTraefik) -> anyhow::Result<String> {
    let client = client(&traefik)?;
    let applied = client.apply(&pool([(addresses(1)?[0], 1)])?).await?;
    let before = traefik.reloads().await?;
    let (status, _) = traefik.put_raw(r#"{"tcp":{}}"#).await?;
    // Traefik applies configurations in order: when this one is in force, it has dealt with the one before.
    client.apply(&Configuration::default()).await?;
    let reloads = traefik.reloads().await? - before;
    ensure!(client.verify(&applied).await.is_err(), "the empty configuration was ignored, too");
    Ok(format!("{status}, then {}", if reloads == 1 { "ignored" } else { "applied" }))
}
