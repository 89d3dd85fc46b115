//! `ilb top`: shows the state of a running ilb live.

use std::{io::Read, ops::ControlFlow, time::Duration};

use clap::{ArgMatches, Command};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::sleep,
};

use super::{
    admin_client::{AdminClient, StatusStream},
    output::print_next,
    terminal::{self, Screen},
    view,
};
use crate::{
    exit::{Exit, Failure},
    observe::insight::Status,
    process::runtime::block_on,
};

/// Pause before a stream that has ended is opened again.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);

pub(super) fn command() -> Command {
    Command::new("top")
        .about("Show the state of a running ilb live; q quits")
        .arg(AdminClient::flag())
        .after_help("Example: kubectl exec -it deploy/my-lb -c ilb -- ilb top")
        .after_long_help(
            "In a terminal, shows a screen that updates live; elsewhere, prints a line per change and at least one a \
             second.\n\nExamples:\n  kubectl exec -it deploy/my-lb -c ilb -- ilb top\n  ilb top --url http://10.0.0.7:8081",
        )
}

pub(super) fn execute(matches: &ArgMatches) -> Result<Exit, Failure> {
    let client = AdminClient::from_matches(matches)?;
    block_on(async {
        // Before the screen is opened, so that a wrong URL is reported on stderr.
        let stream = client.stream().await?;
        match Screen::open()? {
            Some(screen) => paint_statuses(&client, stream, &screen).await,
            None => print_statuses(&client, stream).await,
        }
    })?;
    Ok(Exit::Done)
}

/// Content of the screen.
struct Content<'a> {
    client: &'a AdminClient,
    latest: Option<Status>,
    /// Reason why there is no newer status.
    problem: Option<String>,
}

/// Paints each status until a key or a signal ends it.
async fn paint_statuses(client: &AdminClient, stream: StatusStream, screen: &Screen) -> anyhow::Result<()> {
    let mut keys = keys();
    let [mut interrupted, mut terminated] = [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?];
    let [mut hung_up, mut resized] = [signal(SignalKind::hangup())?, signal(SignalKind::window_change())?];
    let mut content = Content { client, latest: None, problem: None };
    let mut stream = Some(stream);
    loop {
        tokio::select! {
            biased;
            _ = interrupted.recv() => return Ok(()),
            _ = terminated.recv() => return Ok(()),
            _ = hung_up.recv() => return Ok(()),
            key = keys.recv() => match key {
                Some(b'q' | b'Q') | None => return Ok(()),
                Some(_) => continue,
            },
            _ = resized.recv() => {}
            next = next(client, &mut stream) => content.update(next),
        }
        screen.paint(&content.text())?;
    }
}

impl Content<'_> {
    fn update(&mut self, next: anyhow::Result<Status>) {
        match next {
            Ok(status) => (self.latest, self.problem) = (Some(status), None),
            Err(error) => self.problem = Some(format!("{error:#}")),
        }
    }

    fn text(&self) -> String {
        let room = terminal::room();
        view::screen(self.latest.as_ref(), self.problem.as_deref(), self.client.url(), room)
    }
}

/// Prints a line for each status, for a log or a pipe, until the reader has closed the pipe.
async fn print_statuses(client: &AdminClient, stream: StatusStream) -> anyhow::Result<()> {
    let mut stream = Some(stream);
    loop {
        let line = match next(client, &mut stream).await {
            Ok(status) => view::line(&status),
            Err(error) => format!("{error:#}"),
        };
        if let ControlFlow::Break(()) = print_next(&(line + "\n"))? {
            return Ok(());
        }
    }
}

/// Returns the next status. After an error or the end of the stream, the next call pauses and opens the stream again.
async fn next(client: &AdminClient, stream: &mut Option<StatusStream>) -> anyhow::Result<Status> {
    loop {
        let Some(open) = stream else {
            sleep(RECONNECT_PAUSE).await;
            *stream = Some(client.stream().await?);
            continue;
        };
        match open.next(client).await {
            Ok(Some(status)) => return Ok(status),
            Ok(None) => *stream = None,
            Err(error) => {
                *stream = None;
                return Err(error);
            }
        }
    }
}

/// Returns the keys as they are pressed. The thread that reads them runs until the process exits, because a read of stdin
/// cannot be cancelled.
fn keys() -> mpsc::Receiver<u8> {
    let (sender, keys) = mpsc::channel(8);
    std::thread::spawn(move || {
        for key in std::io::stdin().lock().bytes().map_while(Result::ok) {
            if sender.blocking_send(key).is_err() {
                return;
            }
        }
    });
    keys
}
