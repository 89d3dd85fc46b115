//! Checks that the client notices restarts, other writers and disabled routers.

use anyhow::{bail, ensure};
use ilb_traefik_client::{ConfigSink, Error, Member, ProxyProtocol, TcpPool};

use super::{
    check::Check,
    configurations::{addresses, client, pool},
};
use crate::BareTraefik;

/// Returns the checks that the client notices restarts and other writers, and that repetitions are free.
pub fn guards() -> Vec<Check> {
    let works = |_| "yes";
    vec![
        Check { name: "a restart is noticed", expected: works, run: |t| Box::pin(restart(t)) },
        Check { name: "another writer is noticed", expected: works, run: |t| Box::pin(overwritten(t)) },
        Check { name: "an identical `PUT` is free", expected: works, run: |t| Box::pin(identical(t)) },
        Check { name: "a disabled router comes with the reason", expected: works, run: |t| Box::pin(disabled(t)) },
        Check {
            name: "a pool with an unknown key leaves the others in force",
            expected: works,
            run: |t| Box::pin(unknown_key(t)),
        },
    ]
}

fn yes() -> String {
    "yes".to_owned()
}

async fn restart(mut traefik: BareTraefik) -> anyhow::Result<String> {
    let client = client(&traefik)?;
    let configuration = pool([(addresses(1)?[0], 1)])?;
    let applied = client.apply(&configuration).await?;
    client.verify(&applied).await?;
    traefik.kill()?;
    let Err(Error::Unreachable { .. }) = client.verify(&applied).await else { bail!("the killed Traefik is verified") };
    traefik.restart().await?;
    ensure!(client.verify(&applied).await == Err(Error::Restarted));
    let again = client.apply(&configuration).await?;
    ensure!(again.revision == applied.revision && again.started != applied.started);
    client.verify(&again).await?;
    Ok(yes())
}

async fn overwritten(traefik: BareTraefik) -> anyhow::Result<String> {
    let client = client(&traefik)?;
    let configuration = pool([(addresses(1)?[0], 1)])?;
    let applied = client.apply(&configuration).await?;
    traefik.put_raw(r#"{"tcp":{"routers":{},"services":{}}}"#).await?;
    crate::eventually("the other writer is noticed", async || match client.verify(&applied).await {
        Err(Error::Overwritten(revision)) if revision == applied.revision => Ok(()),
        other => bail!("{other:?}"),
    })
    .await?;
    // Without throttle `keep_in_force` repairs it in one call.
    let again = client.keep_in_force(&configuration, &applied).await?;
    client.verify(&again).await?;
    Ok(yes())
}

async fn identical(traefik: BareTraefik) -> anyhow::Result<String> {
    let client = client(&traefik)?;
    let configuration = pool([(addresses(1)?[0], 1)])?;
    let applied = client.apply(&configuration).await?;
    let before = traefik.reloads().await?;
    for _ in 0..20 {
        client.keep_in_force(&configuration, &applied).await?;
    }
    let reloads = traefik.reloads().await? - before;
    ensure!(reloads == 0, "{reloads} reloads");
    Ok(yes())
}

async fn disabled(traefik: BareTraefik) -> anyhow::Result<String> {
    let mut configuration = pool([])?;
    let router = ilb_traefik_client::model::TcpRouter::catch_all("tcp".parse()?, 200, "absent".parse()?);
    configuration.tcp.routers.insert("lost".parse()?, router);
    let applied = client(&traefik)?.apply(&configuration).await?;
    match applied.faults.get("lost") {
        Some(error @ Error::RouterDisabled { .. }) if applied.faults.len() == 1 => {
            ensure!(error.to_string().contains("absent@rest"), "{error}");
            ensure!(!error.is_retryable());
            Ok(yes())
        }
        _ => bail!("{applied:?}"),
    }
}

/// Pushes a pool with the PROXY protocol beside one without: where Traefik does not know it, only the pool with it is at fault.
async fn unknown_key(traefik: BareTraefik) -> anyhow::Result<String> {
    let client = client(&traefik)?;
    let [plain, other] = addresses(2)?[..] else { bail!("two addresses") };
    let mut configuration = pool([(plain, 1)])?;
    TcpPool::new("other".parse()?, "tcp".parse()?)
        .member(Member::new(other, 1))
        .proxy_protocol(ProxyProtocol::V2)
        .add_to(&mut configuration);
    let applied = client.apply(&configuration).await?;
    let knows = super::check::parsed(traefik.version())? >= (3, 5, 0);
    let faults: Vec<_> = applied.faults.iter().map(|(pool, error)| (pool.as_str(), error.kind())).collect();
    ensure!(faults == if knows { vec![] } else { vec![("other", "dropped")] }, "{faults:?}");
    client.verify(&applied).await?;
    Ok(yes())
}
