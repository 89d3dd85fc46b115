//! The program in the pods of `make cluster-test`, one static binary:
//!
//! * `agent backend ADDRESS` serves connections, each of which begins with the name of the pod;
//! * `agent client ADDRESS` executes orders about connections to `ADDRESS`;
//! * `agent ask ORDER…` sends an order to the client in the same pod and prints its answer;
//! * `agent try ADDRESS` prints whether a connection to `ADDRESS` can be opened;
//! * `agent greet ADDRESS` prints which pod a connection to `ADDRESS` reaches, and at which address it does;
//! * `agent pause` does nothing: it is the process that keeps the namespaces of a pod.

mod backend;
mod client;
mod greeting;
mod request;
mod termination;

use std::{env, time::Duration};

use anyhow::{Context, bail};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["backend", address] => backend::run(address.parse()?).await,
        ["client", address] => client::run(address.to_owned()).await,
        ["ask", ref order @ ..] => ask(&order.join(" ")).await,
        ["try", address] => try_to_connect(address).await,
        ["greet", address] => greet(address).await,
        ["pause"] => termination::requested().await,
        _ => bail!("use: agent backend|client|try|greet ADDRESS, agent ask ORDER, agent pause"),
    }
}

async fn ask(order: &str) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(client::ORDERS).await.context("no client takes orders in this pod")?;
    stream.write_all(format!("{order}\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    print!("{answer}");
    Ok(())
}

async fn greet(address: &str) -> anyhow::Result<()> {
    let (_, greeting) = client::open(address).await?;
    print!("{}", greeting.line());
    Ok(())
}

async fn try_to_connect(address: &str) -> anyhow::Result<()> {
    match timeout(Duration::from_secs(3), TcpStream::connect(address)).await {
        Err(_) => println!("no answer"),
        Ok(Err(error)) => println!("{}", error.kind()),
        Ok(Ok(_)) => println!("connected"),
    }
    Ok(())
}
