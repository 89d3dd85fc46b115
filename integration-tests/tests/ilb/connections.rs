//! Who is connected to whom is true where it is claimed, and every connection that ends is logged with exact counts.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use ilb_testbed::{ApiServer, BACKEND_PORT, Ilb, LogLine, World, alone_in_a_network, eventually, host_network, tools};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// Runs the calling test once more in a network namespace of its own: in another one, the clients of other tests would be
/// clients of this Traefik.
fn alone(test: &str) -> bool {
    tools::prepare().unwrap();
    // There, cargo could fetch nothing.
    Ilb::build().unwrap();
    let is_alone = alone_in_a_network(test).unwrap();
    if is_alone {
        host_network("10.9.0.0/16").unwrap();
    }
    is_alone
}

/// A backend that sends the address of its peer in a line, and then sends back everything. It ends a connection first after
/// a byte `q`, and resets it after a byte `r`.
async fn serve(address: SocketAddr) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).await?;
    tokio::spawn(async move {
        while let Ok((mut stream, peer)) = listener.accept().await {
            tokio::spawn(async move {
                stream.write_all(format!("{peer}\n").as_bytes()).await?;
                let mut data = vec![0; 64 << 10];
                loop {
                    let read = stream.read(&mut data).await?;
                    if read == 0 || data[read - 1] == b'q' {
                        return anyhow::Ok(());
                    }
                    if data[read - 1] == b'r' {
                        stream.set_zero_linger()?;
                        return Ok(());
                    }
                    stream.write_all(&data[..read]).await?;
                }
            });
        }
    });
    Ok(())
}

/// The way in which a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    Client,
    Backend,
    ClientResets,
    BackendResets,
}

/// A client's connection, and what is true of it.
struct Client {
    stream: BufReader<TcpStream>,
    truth: Truth,
}

#[derive(Clone, Copy, Debug)]
struct Truth {
    client: SocketAddr,
    /// Address of Traefik's connection to the backend.
    local: SocketAddr,
    sent: u64,
    got: u64,
    ends: Ends,
    /// Set if another connection has the same counts.
    is_ambiguous: bool,
    /// Moment at which the client knew that it was open.
    open: Instant,
    /// Time until the client ended it.
    held: Duration,
}

impl Client {
    /// Connects, and has this many bytes sent back.
    async fn connect(entry: SocketAddr, bytes: usize, ends: Ends) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(entry).await?;
        let client = stream.local_addr()?;
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let local = line.trim().parse().with_context(|| format!("the backend sent {line:?}"))?;
        let open = Instant::now();
        stream.write_all(&vec![b'.'; bytes]).await?;
        stream.read_exact(&mut vec![0; bytes]).await?;
        let (sent, got) = (u64::try_from(bytes)?, u64::try_from(bytes + line.len())?);
        let truth = Truth { client, local, sent, got, ends, is_ambiguous: false, open, held: Duration::ZERO };
        Ok(Self { stream, truth })
    }

    /// Ends the connection, and returns what is true of it.
    async fn end(mut self) -> anyhow::Result<Truth> {
        self.truth.held = self.truth.open.elapsed();
        let last: &[u8] = match self.truth.ends {
            Ends::Client => b"",
            Ends::Backend => b"q",
            Ends::BackendResets => b"r",
            Ends::ClientResets => {
                self.stream.get_ref().set_zero_linger()?;
                return Ok(self.truth);
            }
        };
        self.stream.write_all(last).await?;
        self.truth.sent += u64::try_from(last.len())?;
        if !last.is_empty() {
            let _ = self.stream.read(&mut [0]).await;
        }
        Ok(self.truth)
    }
}

fn address(value: &Value) -> Option<SocketAddr> {
    value.as_str().map(|text| text.parse().unwrap())
}

/// Checks a line of the log, and returns whether it names the client.
fn check_line(line: &LogLine, truths: &BTreeMap<SocketAddr, Truth>, pods: &BTreeMap<SocketAddr, String>) -> bool {
    let truth = &truths[&address(&line["local"]).unwrap()];
    let client = line.get("client").and_then(address);
    assert!(client.is_none_or(|client| client == truth.client), "{line:?} is {truth:?}");
    let counts = [&line["bytes_to_backend"], &line["bytes_from_backend"]].map(|count| count.as_u64().unwrap());
    assert_eq!(counts, [truth.sent, truth.got], "{line:?} is {truth:?}");
    assert_eq!(line["pod"], pods[&address(&line["backend"]).unwrap()].as_str());
    assert_eq!(line["pool"], "default");
    assert!(line.get("incomplete").is_none(), "{line:?}");
    // The kernel counts time in ticks of up to 10 ms.
    let duration = |name: &str| line.get(name).and_then(Value::as_u64).map(Duration::from_millis);
    let (least, most) = (duration("duration_ms").unwrap(), duration("max_duration_ms"));
    assert!(most.unwrap_or(least) + Duration::from_millis(20) >= truth.held, "{line:?} is {truth:?}");
    assert!(least <= truth.open.elapsed(), "{line:?} is {truth:?}");
    client.is_some()
}

/// Starts an ilb that logs at most `max_rate` connections a second, before three backends. Returns the names of their pods,
/// too.
async fn start(max_rate: u32) -> (World, BTreeMap<SocketAddr, String>) {
    let max_rate = max_rate.to_string();
    let settings = [("ILB_CONNECTION_LOG", "true"), ("ILB_CONNECTION_LOG_MAX_RATE", max_rate.as_str())];
    let world = World::on_other_hosts(ApiServer::shared().await.unwrap(), 0, &settings).await.unwrap();
    let pods: BTreeMap<SocketAddr, String> = (0..3).map(|index| (world.address(index), World::pod(index))).collect();
    for (address, pod) in &pods {
        assert_eq!(address.port(), BACKEND_PORT);
        serve(*address).await.unwrap();
        world.pods.create_ready(pod, address.ip()).await.unwrap();
    }
    world.wait_until_in_force(3).await.unwrap();
    world.ilb.wait_for_log("Logging connections when they have ended").await.unwrap();
    (world, pods)
}

/// Checks the rows of a page of all 48 connections, and returns how many of those that can be paired are.
fn check_rows(
    page: &Value,
    live: &BTreeMap<SocketAddr, Truth>,
    pods: &BTreeMap<SocketAddr, String>,
) -> anyhow::Result<usize> {
    ensure!(page["total"] == 48, "{page}");
    let mut paired = 0;
    for row in page["connections"].as_array().context("no rows")? {
        let Some(local) = address(&row["local"]) else { continue };
        let truth = live[&local];
        let client = address(&row["client"]);
        assert!(client.is_none_or(|client| client == truth.client), "{row} is {truth:?}");
        assert_eq!([&row["bytes_to_backend"], &row["bytes_from_backend"]], [truth.sent, truth.got], "{row}");
        assert_eq!(row["pod"], pods[&address(&row["backend"]).unwrap()].as_str());
        assert!(row["rtt_seconds"].as_f64().is_some_and(|rtt| rtt > 0.0) && row["pool"] == "default", "{row}");
        paired += usize::from(client.is_some() && !truth.is_ambiguous);
    }
    Ok(paired)
}

/// Checks that the command line finds a client by its address.
async fn check_command_line(world: &World, one: &Truth) {
    let url = world.admin.url("");
    let url = url.trim_end_matches('/');
    let shown = world.ilb.ask(&["connections", "--url", url, "--client", &one.client.to_string()]).await.unwrap();
    let row = shown.stdout.lines().nth(1).unwrap_or_default();
    let has = |text: &str| row.split_whitespace().any(|word| word == text);
    assert!(shown.code == Some(0) && has(&one.client.to_string()) && has("default"), "{}", shown.stdout);
    assert!(shown.stdout.contains("1 to 1 of 1"), "{}", shown.stdout);
    let wrong = world.ilb.ask(&["connections", "--url", url, "--pool", "other", "-o", "json"]).await.unwrap();
    let page: Value = serde_json::from_str(&wrong.stdout).unwrap();
    assert_eq!((&page["matching"], &page["total"]), (&0.into(), &48.into()));
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn each_pair_is_true_and_each_connection_that_ends_is_logged_with_exact_counts() {
    if !alone("connections::each_pair_is_true_and_each_connection_that_ends_is_logged_with_exact_counts") {
        return;
    }
    let (world, pods) = start(10_000).await;
    let entry = world.traefik.entry_point();
    let ways = [Ends::Client, Ends::Backend, Ends::ClientResets, Ends::BackendResets];
    let mut clients = Vec::new();
    for (number, ends) in (0..40).zip(ways.into_iter().cycle()) {
        clients.push(Client::connect(entry, 100 + 50 * number, ends).await.unwrap());
    }
    // Addresses of Traefik may differ in their length, which is part of what a client gets.
    for _ in 0..8 {
        let mut client = Client::connect(entry, 9, Ends::Client).await.unwrap();
        client.truth.is_ambiguous = true;
        clients.push(client);
    }
    let live: BTreeMap<_, _> = clients.iter().map(|client| (client.truth.local, client.truth)).collect();
    eventually("each connection whose counts are its own is paired", async || {
        let (_, text) = world.admin.get("/connections?limit=500&lone=true").await?;
        let paired = check_rows(&serde_json::from_str(&text).with_context(|| text.clone())?, &live, &pods)?;
        ensure!(paired == 40, "{paired} are paired: {text}");
        Ok(())
    })
    .await
    .unwrap();

    check_command_line(&world, &clients[7].truth).await;

    // Connections that end a moment after they were opened are logged as well.
    let mut truths = BTreeMap::new();
    for (number, ends) in (0..40).zip(ways.into_iter().cycle()) {
        let truth = Client::connect(entry, 5_000 + 50 * number, ends).await.unwrap().end().await.unwrap();
        truths.insert(truth.local, truth);
    }
    for client in clients {
        let truth = client.end().await.unwrap();
        truths.insert(truth.local, truth);
    }
    assert_eq!(truths.len(), 88);
    eventually("all connections are logged", async || {
        let lines = world.ilb.logged("Connection closed")?.len();
        ensure!(lines >= truths.len(), "{lines} lines");
        Ok(())
    })
    .await
    .unwrap();
    let lines = world.ilb.logged("Connection closed").unwrap();
    assert_eq!(lines.len(), truths.len(), "each once");
    let mut named = 0;
    for line in &lines {
        let names_client = check_line(line, &truths, &pods);
        let truth = truths.remove(&address(&line["local"]).unwrap()).unwrap();
        named += usize::from(names_client);
        // Those that were paired while they were open are so at their end.
        let was_paired = live.contains_key(&truth.local) && !truth.is_ambiguous;
        assert!(names_client || !was_paired, "{line:?} is {truth:?}");
    }
    println!("{named} of {} lines name the client", lines.len());
    // Those that were reset leave sockets of which the kernel no longer tells whose they were.
    let Totals { lines, left_out, .. } = Totals::of(&world).await.unwrap();
    assert_eq!((lines, left_out), (88, 0));
}

/// The metrics of the log of connections.
#[derive(Debug, PartialEq, Eq)]
struct Totals {
    lines: u64,
    left_out: u64,
    unknown: u64,
}

impl Totals {
    async fn of(world: &World) -> anyhow::Result<Self> {
        let total = async |metric: &str| -> anyhow::Result<u64> {
            let name = format!("ilb_connection_log_{metric}");
            Ok(world.admin.metric(&name).await?.to_string().parse()?)
        };
        Ok(Self {
            lines: total("lines_total").await?,
            left_out: total(r#"left_out_total{reason="rate"}"#).await?,
            unknown: total(r#"left_out_total{reason="unknown"}"#).await?,
        })
    }
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn of_many_connections_that_end_at_once_a_bounded_number_is_logged_and_the_others_are_counted() {
    const MAX_RATE: u32 = 5;
    const CROWD: usize = 300;
    if !alone("connections::of_many_connections_that_end_at_once_a_bounded_number_is_logged_and_the_others_are_counted")
    {
        return;
    }
    let (world, pods) = start(MAX_RATE).await;
    let entry = world.traefik.entry_point();
    // None is reset: then the kernel tells of each exactly.
    let ways = [Ends::Client, Ends::Backend];
    let mut clients = Vec::new();
    for (number, ends) in (0..CROWD).zip(ways.into_iter().cycle()) {
        clients.push(Client::connect(entry, 10 + number, ends).await.unwrap());
    }

    let begin = Instant::now();
    let ends: Vec<_> = clients.into_iter().map(|client| tokio::spawn(client.end())).collect();
    let mut truths = BTreeMap::new();
    for end in ends {
        let truth = end.await.unwrap().unwrap();
        truths.insert(truth.local, truth);
    }
    let mut all = CROWD;
    // The line of a later connection says how many were left out since the one before. If it comes within the same second, it
    // may be left out itself.
    loop {
        eventually("each connection is logged or counted", async || {
            let totals = Totals::of(&world).await?;
            ensure!(totals.lines + totals.left_out >= u64::try_from(all)?, "{totals:?} of {all}");
            Ok(())
        })
        .await
        .unwrap();
        let lines = world.ilb.logged("Connection closed").unwrap();
        let last = lines.last().and_then(|line| address(&line["local"]));
        if all > CROWD && last.is_some_and(|local| truths[&local].sent == 1) {
            break;
        }
        let truth = Client::connect(entry, 1, Ends::Client).await.unwrap().end().await.unwrap();
        truths.insert(truth.local, truth);
        all += 1;
    }
    let seconds = begin.elapsed().as_secs() + 1;

    let totals = Totals::of(&world).await.unwrap();
    let lines = world.ilb.logged("Connection closed").unwrap();
    println!("{totals:?} of {all} connections in {seconds} s");
    for line in &lines {
        check_line(line, &truths, &pods);
        truths.remove(&address(&line["local"]).unwrap()).unwrap();
    }
    let left_out = lines.iter().filter_map(|line| line.get("left_out")?.as_u64()).sum::<u64>();
    let written = u64::try_from(lines.len()).unwrap();
    assert_eq!(totals, Totals { lines: written, left_out, unknown: 0 });
    assert_eq!(written + left_out, u64::try_from(all).unwrap(), "each is logged or counted, and none twice");
    assert!(written <= u64::from(MAX_RATE) * seconds, "{written} lines in {seconds} s");
}
