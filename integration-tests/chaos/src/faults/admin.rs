//! A flood of connections to the admin port.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
    time::sleep,
};

use crate::world::World;

/// Connections at a time.
const CONNECTIONS: usize = 200;
/// Pause before a connection that was closed comes back, and of the greedy ones after each request: the flood shares the machine
/// with all components.
const PAUSE: Duration = Duration::from_millis(200);
/// Addresses that they come from. The probes come from another one, as those of a kubelet do: a peer has a limited number of
/// places, and loses its own connections first.
const PEERS: u8 = 8;

/// Holds many connections that are idle, slow or greedy, until the world's intruders are ended.
pub(super) fn flood(world: &mut World) {
    let address = world.admin.address();
    for number in 0..CONNECTIONS {
        world.intruders.spawn(async move {
            loop {
                // What is closed comes back, as it would.
                let _ = misbehave(number, address).await;
                sleep(PAUSE).await;
            }
        });
    }
}

async fn misbehave(number: usize, address: SocketAddr) -> std::io::Result<()> {
    const PATHS: [&str; 3] = ["/status", "/metrics", "/"];
    let peer = u8::try_from(number % usize::from(PEERS)).unwrap_or_default();
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 2 + peer], 0).into())?;
    let mut stream = socket.connect(address).await?;
    let request = format!("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", PATHS[number % PATHS.len()]);
    let mut buffer = vec![0; 16 << 10];
    match number % 10 {
        0..5 => {}
        5..8 => stream.write_all(&request.as_bytes()[..12]).await?,
        8 => stream.write_all(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n").await?,
        _ => loop {
            stream.write_all(request.as_bytes()).await?;
            if stream.read(&mut buffer).await? == 0 {
                return Ok(());
            }
            sleep(PAUSE).await;
        },
    }
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}
