//! Checks that each feature of the typed model works.

use std::{num::NonZeroU32, time::Duration};

use anyhow::{Context, bail, ensure};
use ilb_traefik_client::{
    ConfigSink, Configuration, Error, ProxyProtocol, TcpPool, Timeouts,
    model::{
        HealthCheck, LoadBalancer, Middleware, RouterTls, Rule, Server, ServersTransport, TcpRouter, TlsOptions,
        TlsVersion, UdpLoadBalancer, UdpRouter,
    },
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::{TcpListener, UdpSocket},
    time::timeout,
};

use super::{
    check::Check,
    configurations::{addresses, client, name, pool},
};
use crate::{Backend, BareTraefik, Behaviour, Connection};

/// Time limit for each step of a client or a backend.
const STEP_LIMIT: Duration = Duration::from_secs(10);

/// Returns the checks that each feature of the typed model works.
pub fn features() -> Vec<Check> {
    let works = |_| "yes";
    vec![
        Check { name: "pool of TCP backends", expected: works, run: |t| Box::pin(tcp_pool(t)) },
        Check { name: "weights, exactly", expected: works, run: |t| Box::pin(weights(t)) },
        Check { name: "no backends: closed at once", expected: works, run: |t| Box::pin(no_backends(t)) },
        Check { name: "UDP", expected: works, run: |t| Box::pin(udp(t)) },
        Check { name: "`inFlightConn`, `ipAllowList`", expected: works, run: |t| Box::pin(middlewares(t)) },
        Check { name: "TLS: passthrough, options, certificates", expected: works, run: |t| Box::pin(tls(t)) },
        Check {
            name: "TLS option `disableSessionTickets`",
            expected: |v| if v >= (3, 4, 0) { "yes" } else { "reported" },
            run: |t| Box::pin(session_tickets(t)),
        },
        Check {
            name: "PROXY protocol in transports",
            expected: |v| if v >= (3, 5, 2) { "yes" } else { "reported" },
            run: |t| Box::pin(proxy_protocol(t)),
        },
        Check {
            name: "health checks of TCP servers",
            expected: |v| if v >= (3, 6, 0) { "yes" } else { "reported" },
            run: |t| Box::pin(health_check(t)),
        },
        Check {
            name: "servers proved by",
            expected: |v| if v >= (3, 6, 0) { "`serverStatus`" } else { "list" },
            run: |t| Box::pin(server_status(t)),
        },
        Check { name: "the echo is the configuration", expected: works, run: |t| Box::pin(echo(t)) },
    ]
}

fn yes() -> String {
    "yes".to_owned()
}

/// Returns `yes` if the configuration is in force, `reported` if the error names the key that this version does not know.
async fn applied_or_reported(
    traefik: &BareTraefik,
    configuration: &Configuration,
    key: &str,
) -> anyhow::Result<String> {
    match client(traefik)?.apply(configuration).await {
        Ok(_) => Ok(yes()),
        Err(Error::Dropped { keys, version }) if keys.iter().all(|dropped| dropped.ends_with(key)) => {
            ensure!(version.as_str() == traefik.version(), "the error names version {version}");
            Ok("reported".to_owned())
        }
        Err(error) => Err(error.into()),
    }
}

async fn tcp_pool(traefik: BareTraefik) -> anyhow::Result<String> {
    let addresses = addresses(3)?;
    let mut backends = Vec::new();
    for address in &addresses {
        backends.push(Backend::start(*address, Behaviour::Echo).await?);
    }
    let client = client(&traefik)?;
    let applied = client.apply(&pool(addresses.iter().map(|address| (*address, 1)))?).await?;
    ensure!(applied.version.as_str() == traefik.version());
    let mut reached = Vec::new();
    for _ in &addresses {
        reached.push(Connection::open(traefik.entry_point()).await?.backend());
    }
    reached.sort_unstable();
    ensure!(reached == addresses, "reached {reached:?}");
    client.verify(&applied).await?;
    Ok(yes())
}

async fn weights(traefik: BareTraefik) -> anyhow::Result<String> {
    let addresses = addresses(2)?;
    let _backends =
        (Backend::start(addresses[0], Behaviour::Echo).await?, Backend::start(addresses[1], Behaviour::Echo).await?);
    client(&traefik)?.apply(&pool([(addresses[0], 3), (addresses[1], 1)])?).await?;
    let mut first = 0;
    for _ in 0..40 {
        first += u32::from(Connection::open(traefik.entry_point()).await?.backend() == addresses[0]);
    }
    ensure!(first == 30, "{first} of 40 went to the backend with weight 3 of 4");
    Ok(yes())
}

async fn no_backends(traefik: BareTraefik) -> anyhow::Result<String> {
    let addresses = addresses(1)?;
    let _backend = Backend::start(addresses[0], Behaviour::Echo).await?;
    let client = client(&traefik)?;
    client.apply(&pool([(addresses[0], 1)])?).await?;
    Connection::open(traefik.entry_point()).await?;
    client.apply(&pool([])?).await?;
    let refused =
        timeout(STEP_LIMIT, Connection::open(traefik.entry_point())).await.context("the client has to wait")?;
    ensure!(refused.is_err(), "a backend answered");
    Ok(yes())
}

async fn udp(traefik: BareTraefik) -> anyhow::Result<String> {
    let backend = UdpSocket::bind(addresses(1)?[0]).await?;
    let mut configuration = Configuration::default();
    let servers: UdpLoadBalancer = [backend.local_addr()?].into_iter().collect();
    configuration.udp.services.insert(name("dns")?, servers)?;
    configuration.udp.routers.insert(name("dns")?, UdpRouter::try_new([name("udp")?], name("dns")?)?);
    client(&traefik)?.apply(&configuration).await?;
    let asking = UdpSocket::bind("127.0.0.1:0").await?;
    asking.send_to(b"hello", traefik.udp_entry_point()).await?;
    let mut datagram = [0; 16];
    let length = timeout(STEP_LIMIT, backend.recv(&mut datagram)).await.context("no datagram came")??;
    ensure!(&datagram[..length] == b"hello");
    Ok(yes())
}

async fn middlewares(traefik: BareTraefik) -> anyhow::Result<String> {
    let addresses = addresses(1)?;
    let _backend = Backend::start(addresses[0], Behaviour::Echo).await?;
    let client = client(&traefik)?;
    let with = |middleware| -> anyhow::Result<Configuration> {
        let mut configuration = pool([(addresses[0], 1)])?;
        configuration.tcp.middlewares.insert(name("guard")?, middleware);
        let router = TcpRouter::catch_all(name("tcp")?, 100, name("pool")?).through([name("guard")?]);
        configuration.tcp.routers.insert(name("pool")?, router);
        Ok(configuration)
    };
    client.apply(&with(Middleware::InFlightConn { amount: NonZeroU32::MIN })?).await?;
    let first = Connection::open(traefik.entry_point()).await?;
    ensure!(Connection::open(traefik.entry_point()).await.is_err(), "a second connection was let in");
    drop(first);
    client.apply(&with(Middleware::IpAllowList { source_range: vec!["10.0.0.0/8".parse()?] })?).await?;
    ensure!(Connection::open(traefik.entry_point()).await.is_err(), "a client from outside was let in");
    client.apply(&with(Middleware::IpAllowList { source_range: vec!["127.0.0.0/8".parse()?] })?).await?;
    Connection::open(traefik.entry_point()).await?;
    Ok(yes())
}

async fn tls(traefik: BareTraefik) -> anyhow::Result<String> {
    let mut configuration = pool([(addresses(1)?[0], 1)])?;
    let mut options = TlsOptions::default();
    options.min_version = Some(TlsVersion::Tls12);
    options.sni_strict = true;
    let tls = configuration.tls.get_or_insert_default();
    tls.options.insert(name("modern")?, options);
    tls.certificates.push(super::configurations::certificate()?.into());
    for (priority, host, tls) in [
        (200, "db.example.org", RouterTls::with_options(name("modern")?)),
        (201, "raw.example.org", RouterTls::passthrough()),
    ] {
        let router =
            TcpRouter::try_new([name("tcp")?], Rule::server_name(&host.parse()?), priority, name("pool")?, Some(tls))?;
        configuration.tcp.routers.insert(name(&format!("tls-{priority}"))?, router);
    }
    client(&traefik)?.apply(&configuration).await?;
    Ok(yes())
}

async fn session_tickets(traefik: BareTraefik) -> anyhow::Result<String> {
    let mut configuration = pool([])?;
    let mut options = TlsOptions::default();
    options.disable_session_tickets = true;
    configuration.tls.get_or_insert_default().options.insert(name("modern")?, options);
    applied_or_reported(&traefik, &configuration, "disableSessionTickets").await
}

async fn proxy_protocol(traefik: BareTraefik) -> anyhow::Result<String> {
    let address = addresses(1)?[0];
    let backend = TcpListener::bind(address).await?;
    let mut configuration = Configuration::default();
    TcpPool::new(name("pool")?, name("tcp")?)
        .member(ilb_traefik_client::Member::new(address, 1))
        .proxy_protocol(ProxyProtocol::V1)
        .add_to(&mut configuration);
    let outcome = applied_or_reported(&traefik, &configuration, "proxyProtocol").await?;
    if outcome == "yes" {
        let _client = tokio::net::TcpStream::connect(traefik.entry_point()).await?;
        let (stream, _) = timeout(STEP_LIMIT, backend.accept()).await.context("no connection came")??;
        let mut line = String::new();
        timeout(STEP_LIMIT, BufReader::new(stream).read_line(&mut line)).await.context("no header came")??;
        ensure!(line.starts_with("PROXY TCP4 127.0.0.1 "), "the header is {line:?}");
    }
    Ok(outcome)
}

async fn health_check(traefik: BareTraefik) -> anyhow::Result<String> {
    let addresses = addresses(2)?;
    let _backend = Backend::start(addresses[0], Behaviour::Echo).await?;
    let mut configuration = Configuration::default();
    let mut balancer = LoadBalancer::new(name("t")?, addresses.iter().map(|address| Server::from(*address)));
    balancer.health_check = Some(HealthCheck::try_new(Duration::from_millis(200), Duration::from_millis(100))?);
    configuration.tcp.services.insert(name("checked")?, balancer)?;
    configuration.tcp.servers_transports.insert(name("t")?, ServersTransport::new(Timeouts::default()));
    configuration.tcp.routers.insert(name("r")?, TcpRouter::catch_all(name("tcp")?, 100, name("checked")?));
    let outcome = applied_or_reported(&traefik, &configuration, "healthCheck").await?;
    if outcome == "yes" {
        crate::eventually("the absent server is down and the other one is up", async || {
            let service = traefik.api("tcp/services/checked@rest").await?;
            let status =
                |index: usize| service["serverStatus"][addresses[index].to_string()].as_str().map(str::to_owned);
            match (status(0).as_deref(), status(1).as_deref()) {
                (Some("UP"), Some("DOWN")) => Ok(()),
                other => bail!("{other:?}"),
            }
        })
        .await?;
    }
    Ok(outcome)
}

async fn server_status(traefik: BareTraefik) -> anyhow::Result<String> {
    let address = addresses(1)?[0];
    client(&traefik)?.apply(&pool([(address, 1)])?).await?;
    let services = traefik.api("tcp/services").await?;
    let has_status = services.as_array().context("no list")?.iter().any(|service| service["serverStatus"].is_object());
    Ok(if has_status { "`serverStatus`" } else { "list" }.to_owned())
}

/// Sends every feature that all versions know, and compares the echo.
async fn echo(traefik: BareTraefik) -> anyhow::Result<String> {
    let mut configuration = pool(addresses(3)?.into_iter().map(|address| (address, 2)))?;
    let servers: UdpLoadBalancer = addresses(2)?.into_iter().collect();
    configuration.udp.services.insert(name("dns")?, servers)?;
    configuration.udp.routers.insert(name("dns")?, UdpRouter::try_new([name("udp")?], name("dns")?)?);
    let ranges = vec!["10.0.0.0/8".parse()?, "fd00::/8".parse()?];
    configuration.tcp.middlewares.insert(name("allow")?, Middleware::IpAllowList { source_range: ranges });
    let rule = Rule::any().and(Rule::client(&"10.0.0.0/8".parse()?).not()).or(Rule::try_alpn("h2")?);
    let router = TcpRouter::try_new([name("tcp")?], rule, 7, name("pool")?, Some(RouterTls::passthrough()))?;
    configuration.tcp.routers.insert(name("alpn")?, router.through([name("allow")?]));
    let (status, echo) = traefik.put_raw(&serde_json::to_string(&configuration)?).await?;
    ensure!(status == 200, "status {status}: {echo}");
    let echoed: Configuration = serde_json::from_str(&echo)?;
    ensure!(echoed == configuration, "the echo is {echo}");
    Ok(yes())
}
