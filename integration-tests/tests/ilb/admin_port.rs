//! The admin port serves the kubelet whatever others do with it, over IPv4 and IPv6, and pages only to those who ask for them
//! by a name of this ilb.

use std::{
    fs,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

use anyhow::ensure;
use ilb_testbed::{Admin, Ilb, Net, alone_in_a_network, eventually, keep_families_apart, remove_ipv4, switch_ipv6_off};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
};

const PORT: u16 = 8081;
const IPV4: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), PORT);
const IPV6: SocketAddr = SocketAddr::new(std::net::IpAddr::V6(Ipv6Addr::LOCALHOST), PORT);

/// An ilb with one pool from a file, whose Traefik does not run.
struct Alone {
    ilb: Ilb,
    backends: PathBuf,
    _folder: TempDir,
}

impl Alone {
    fn start(address: &str, backends: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("backends.yaml");
        write_backends(&file, backends);
        let variables = [
            ("ILB_ADMIN_ADDRESS", address),
            ("ILB_BACKENDS_FILE", file.to_str().unwrap()),
            ("LB_METHOD", "roundrobin"),
            ("TRAEFIK_API_URL", "http://127.0.0.1:1"),
        ];
        Self { ilb: Ilb::start(&variables).unwrap(), backends: file, _folder: folder }
    }
}

fn write_backends(file: &Path, count: u16) {
    let backend = |number: u16| {
        let [high, low] = number.to_be_bytes();
        format!("- {{address: '10.1.{high}.{low}:3333'}}\n")
    };
    let new = file.with_extension("new");
    fs::write(&new, (0..count).map(backend).collect::<Vec<_>>().concat()).unwrap();
    fs::rename(new, file).unwrap();
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn by_default_both_families_are_served() {
    if alone_in_a_network("admin_port::by_default_both_families_are_served").unwrap() {
        serves_by_default(&[IPV4, IPV6]).await;
    }
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn by_default_both_families_are_served_where_sockets_are_for_one() {
    if alone_in_a_network("admin_port::by_default_both_families_are_served_where_sockets_are_for_one").unwrap() {
        keep_families_apart().unwrap();
        serves_by_default(&[IPV4, IPV6]).await;
    }
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn by_default_ipv4_is_served_where_ipv6_is_switched_off() {
    if alone_in_a_network("admin_port::by_default_ipv4_is_served_where_ipv6_is_switched_off").unwrap() {
        switch_ipv6_off().unwrap();
        serves_by_default(&[IPV4]).await;
    }
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn by_default_ipv6_is_served_where_ipv4_is_missing() {
    if alone_in_a_network("admin_port::by_default_ipv6_is_served_where_ipv4_is_missing").unwrap() {
        remove_ipv4().unwrap();
        serves_by_default(&[IPV6]).await;
    }
}

/// Checks that an ilb without settings for it serves at these addresses, and that its own commands reach it.
async fn serves_by_default(addresses: &[SocketAddr]) {
    // An empty variable is not given.
    let alone = Alone::start("", 1);
    for address in addresses {
        Admin::new(*address).unwrap().wait_until_ok("/startupz").await.unwrap();
    }
    let status = alone.ilb.ask(&["status"]).await.unwrap();
    assert!(status.stdout.contains("Pool default"), "{status:?}");
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn probes_are_answered_while_hundreds_of_connections_are_idle_slow_or_greedy() {
    const BACKENDS: u16 = 10_000;
    let admin = Admin::new((Net::for_this_process().unwrap().host().unwrap(), PORT).into()).unwrap();
    let mut alone = Alone::start(&admin.address().to_string(), BACKENDS);
    admin.wait_until_ok("/startupz").await.unwrap();

    let mut crowd = JoinSet::new();
    for number in 0..400_u16 {
        let (address, from) = (admin.address(), Ipv4Addr::from([127, 0, 0, 1 + u8::try_from(number % 8).unwrap()]));
        crowd.spawn(async move {
            loop {
                // What is closed comes back, as it would.
                let _ = misbehave(number, from, address).await;
                tokio::task::yield_now().await;
            }
        });
    }
    for count in [BACKENDS + 1, BACKENDS + 2, BACKENDS + 3] {
        write_backends(&alone.backends, count);
        eventually("the loop follows its file", async || {
            for path in ["/livez", "/healthz", "/startupz"] {
                let answer = ask(admin.address(), path).await.unwrap();
                assert!(answer.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
            }
            let answer = ask(admin.address(), "/readyz").await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 503 "), "there is no Traefik: {answer}");
            let found = alone.ilb.logged("Found pods")?;
            ensure!(found.last().is_some_and(|line| line["ready"] == count), "{found:?}");
            Ok(())
        })
        .await
        .unwrap();
    }
    // Others get their turn, too.
    let series = format!("ilb_pool_backends{{pool=\"default\",state=\"ready\"}} {}", BACKENDS + 3);
    eventually("a collector gets the metrics", async || {
        let metrics = ask(admin.address(), "/metrics").await?;
        ensure!(metrics.contains(&series), "{} bytes", metrics.len());
        Ok(())
    })
    .await
    .unwrap();
    for _ in 0..100 {
        assert!(ask(admin.address(), "/livez").await.unwrap().starts_with("HTTP/1.1 200 "));
    }
    alone.ilb.check_running().unwrap();
    crowd.abort_all();
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn probes_are_answered_although_a_flood_from_their_own_address_reconnects_at_full_speed() {
    /// Failures in a row at which a kubelet acts.
    const FAILURE_THRESHOLD: usize = 3;
    const PROBES: usize = 300;
    let admin = Admin::new((Net::for_this_process().unwrap().host().unwrap(), PORT).into()).unwrap();
    let address = admin.address();
    let mut alone = Alone::start(&address.to_string(), 1);
    admin.wait_until_ok("/startupz").await.unwrap();

    let mut flood = JoinSet::new();
    for number in 0..600 {
        flood.spawn(async move {
            loop {
                let _ = reconnect(number, address).await;
                tokio::task::yield_now().await;
            }
        });
    }
    // As with a kubelet, the prober is another thread than the flood.
    let probes = tokio::task::spawn_blocking(move || {
        for number in 0..PROBES {
            let failures: Vec<_> = (0..FAILURE_THRESHOLD).map_while(|_| probe(address).err()).collect();
            assert!(failures.len() < FAILURE_THRESHOLD, "probe {number}: {failures:?}");
        }
    });
    probes.await.unwrap();
    alone.ilb.check_running().unwrap();
    flood.abort_all();
}

/// Comes from the address of the probes, and back as soon as the connection is closed.
async fn reconnect(number: u16, address: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    match number % 3 {
        0 => return Ok(()),
        1 => {}
        _ => stream.write_all(b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n").await?,
    }
    read_to_end(&mut stream).await
}

/// Makes a probe as a kubelet does, which needs the answer within a second.
fn probe(address: SocketAddr) -> Result<(), String> {
    use std::io::{Read, Write};
    let attempt = || {
        let limit = std::time::Duration::from_secs(1);
        let mut stream = std::net::TcpStream::connect_timeout(&address, limit)?;
        stream.set_read_timeout(Some(limit))?;
        stream.write_all(format!("GET /livez HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    };
    match attempt() {
        Ok(answer) if answer.starts_with("HTTP/1.1 200 ") => Ok(()),
        Ok(answer) => Err(format!("answered by {answer:?}")),
        Err(error) => Err(error.to_string()),
    }
}

/// Requests a path as a kubelet does, on a connection of its own.
async fn ask(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// Holds a connection from `from` in one of several ways, until it is closed.
async fn misbehave(number: u16, from: Ipv4Addr, address: SocketAddr) -> std::io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    let mut stream = socket.connect(address).await?;
    match number % 6 {
        // Idle, before and after a first request.
        0 => {}
        1 => stream.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await?,
        // Slow to send, and slow to read.
        2 => stream.write_all(b"GET /status HTTP/1.1\r\nHost: loc").await?,
        3 => {
            stream.write_all(b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
            let mut byte = [0];
            while stream.read(&mut byte).await? > 0 {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
        // Greedy.
        4 => {
            let path = ["/status", "/metrics", "/", "/livez"][usize::from(number / 6 % 4)];
            return request_without_end(&mut stream, path).await;
        }
        _ => stream.write_all(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n").await?,
    }
    read_to_end(&mut stream).await
}

async fn request_without_end(stream: &mut TcpStream, path: &str) -> std::io::Result<()> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let (mut reader, mut writer) = stream.split();
    let ask = async {
        loop {
            writer.write_all(request.as_bytes()).await?;
        }
    };
    tokio::select! {
        result = ask => result,
        result = read_to_end(&mut reader) => result,
    }
}

async fn read_to_end(reader: &mut (impl AsyncReadExt + Unpin)) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    while reader.read(&mut buffer).await? > 0 {}
    Ok(())
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_page_that_makes_its_own_name_lead_here_learns_nothing() {
    let admin = Admin::new((Net::for_this_process().unwrap().host().unwrap(), PORT).into()).unwrap();
    let _alone = Alone::start(&admin.address().to_string(), 1);
    admin.wait_until_ok("/startupz").await.unwrap();
    for path in ["/", "/status", "/stream", "/events", "/metrics"] {
        let (status, _, text) = admin.get_with(path, "Host", "evil.example:8081").await.unwrap();
        assert!(status == 421 && text.contains("ILB_ADMIN_HOSTS") && !text.contains("10.1.0.0"), "{path}: {text}");
    }
    for host in ["localhost:8081", "10.1.2.3:8081", "[fd00::1]:8081", "my-lb-metrics.apps.svc:8081"] {
        assert_eq!(admin.get_with("/status", "Host", host).await.unwrap().0, 200, "{host}");
    }
    assert_eq!(admin.get_with("/livez", "Host", "evil.example:8081").await.unwrap().0, 200, "a probe is for anybody");
}
