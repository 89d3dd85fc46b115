//! What ilb and the Traefiks show at one moment.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use anyhow::Context;
use ilb_testbed::{Admin, Traefik};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{model::Expected, setup::POOLS, world::World};

/// Answers of ilb and the Traefiks.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Status of ilb; `None` if it was not asked.
    pub(crate) status: Option<Value>,
    /// Status code of `/readyz`, and its text.
    pub(crate) ready: Option<(u16, String)>,
    /// Status code of `/livez`.
    pub(crate) live: Option<u16>,
    /// Backends of each pool in each Traefik that was asked; `None` for a pool that it does not have.
    pub(crate) traefiks: BTreeMap<usize, Vec<Option<Weights>>>,
}

/// The backends that a Traefik has for a pool, each with its weights.
pub(crate) type Weights = BTreeMap<SocketAddr, Vec<u64>>;

/// Time after which something that should answer has not.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

impl Seen {
    /// Asks all that can answer according to the model.
    pub(crate) async fn ask(world: &mut World, expected: &Expected) -> anyhow::Result<Self> {
        let mut seen = Self::default();
        if expected.ilb_answers {
            world.ilb()?.check_running()?;
            let admin = &world.admin;
            seen.live = Some(within("/livez", ask_alone(admin.address(), "/livez")).await?.0);
            seen.ready = Some(within("/readyz", ask_alone(admin.address(), "/readyz")).await?);
            seen.status = Some(within("/status", admin.status()).await?);
        }
        for traefik in &expected.traefiks {
            let mut pools = Vec::new();
            for pool in POOLS {
                pools.push(within("Traefik", backends(&world.traefiks[*traefik].0, pool.name)).await?);
            }
            seen.traefiks.insert(*traefik, pools);
        }
        Ok(seen)
    }

    /// Asks the two probes as a kubelet does: each on a connection of its own. Returns the status codes of `/livez` and of
    /// `/readyz`, and the text of the latter.
    pub(crate) async fn probe(admin: &Admin) -> anyhow::Result<(u16, u16, String)> {
        let (live, _) = within("/livez", ask_alone(admin.address(), "/livez")).await?;
        let (ready, text) = within("/readyz", ask_alone(admin.address(), "/readyz")).await?;
        Ok((live, ready, text))
    }
}

async fn ask_alone(address: SocketAddr, path: &str) -> anyhow::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let code = answer.split(' ').nth(1).with_context(|| format!("no status code: {answer}"))?.parse()?;
    let text = answer.split_once("\r\n\r\n").map_or("", |(_, text)| text);
    Ok((code, text.to_owned()))
}

async fn within<T>(what: &str, answer: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    timeout(ANSWER_LIMIT, answer).await.with_context(|| format!("{what} does not answer"))?
}

/// Returns the backends that Traefik has for a pool, and their weights.
async fn backends(traefik: &Traefik, pool: &str) -> anyhow::Result<Option<Weights>> {
    let services = traefik.api("tcp/services").await?;
    let parent = format!("{pool}@rest");
    let services = services.as_array().context("Traefik lists no services")?;
    let Some(service) = services.iter().find(|service| service["name"] == parent.as_str()) else { return Ok(None) };
    let children = service["weighted"]["services"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut weights = Weights::new();
    for child in children {
        let name = child["name"].as_str().context("a service without a name")?;
        let weight = child["weight"].as_u64().with_context(|| format!("{name} has no weight"))?;
        weights.entry(address_of(name)?).or_default().push(weight);
    }
    Ok(Some(weights))
}

/// Returns the address in the name of a service: `orders.127-0-0-1-4444` is `127.0.0.1:4444`.
fn address_of(name: &str) -> anyhow::Result<SocketAddr> {
    let (_, address) = name.split_once('.').with_context(|| format!("{name} is no backend"))?;
    let (ip, port) = address.rsplit_once('-').with_context(|| format!("{name} is no backend"))?;
    Ok(format!("{}:{}", ip.replace('-', "."), port.trim_end_matches("@rest")).parse()?)
}
