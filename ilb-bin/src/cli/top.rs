use std::{io::Read, time::Duration};

use clap::{ArgMatches, Command};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::sleep,
};

use super::{
    instance::{Events, Instance},
    output::print_on,
    terminal::{self, Screen},
    view,
};
use crate::exit::{Exit, Failure};
use crate::observe::insight::Status;
use crate::process::runtime::block_on;

/// A connection that has ended is made again after this long.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) fn form() -> Command {
    Command::new("top")
        .about("Watch a running ilb live; q ends it")
        .arg(Instance::flag())
        .after_help("Example: kubectl exec -it deploy/my-lb -c ilb -- ilb top")
        .after_long_help(
            "In a terminal it is a screen that follows what happens; elsewhere it prints a line for each change.\n\n\
             Examples:\n  kubectl exec -it deploy/my-lb -c ilb -- ilb top\n  ilb top --url http://10.0.0.7:8081",
        )
}

pub(super) fn execute(matches: &ArgMatches) -> Result<Exit, Failure> {
    let instance = Instance::of(matches)?;
    block_on(async {
        // Before anything is painted, so that a wrong URL is told like everywhere else.
        let events = instance.follow().await?;
        match Screen::open()? {
            Some(screen) => watch(&instance, events, &screen).await,
            None => lines(&instance, events).await,
        }
    })?;
    Ok(Exit::Done)
}

/// What there is to show.
struct Scene<'a> {
    instance: &'a Instance,
    latest: Option<Status>,
    /// Why there is nothing newer, if so.
    problem: Option<String>,
}

/// Paints until somebody has seen enough.
async fn watch(instance: &Instance, events: Events, screen: &Screen) -> anyhow::Result<()> {
    let mut keys = keys();
    let [mut interrupted, mut terminated] = [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?];
    let [mut hung_up, mut resized] = [signal(SignalKind::hangup())?, signal(SignalKind::window_change())?];
    let mut scene = Scene { instance, latest: None, problem: None };
    let mut events = Some(events);
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
            next = next(instance, &mut events) => scene.take(next),
        }
        screen.paint(&scene.text())?;
    }
}

impl Scene<'_> {
    fn take(&mut self, next: anyhow::Result<Status>) {
        match next {
            Ok(status) => (self.latest, self.problem) = (Some(status), None),
            Err(error) => self.problem = Some(format!("{error:#}")),
        }
    }

    fn text(&self) -> String {
        let room = terminal::room();
        view::screen(self.latest.as_ref(), self.problem.as_deref(), self.instance.url(), room)
    }
}

/// A line for each status, for a log or a pipe.
async fn lines(instance: &Instance, events: Events) -> anyhow::Result<()> {
    let mut events = Some(events);
    loop {
        let line = match next(instance, &mut events).await {
            Ok(status) => view::line(&status),
            Err(error) => format!("{error:#}"),
        };
        if !print_on(&(line + "\n"))? {
            return Ok(());
        }
    }
}

/// The next status. After an error, or the end of the stream, the next call waits and connects again.
async fn next(instance: &Instance, events: &mut Option<Events>) -> anyhow::Result<Status> {
    loop {
        let Some(open) = events else {
            sleep(PAUSE).await;
            *events = Some(instance.follow().await?);
            continue;
        };
        match open.next(instance).await {
            Ok(Some(status)) => return Ok(status),
            Ok(None) => *events = None,
            Err(error) => {
                *events = None;
                return Err(error);
            }
        }
    }
}

/// The keys as they are pressed. The thread that reads them ends with the process: a read cannot be given up.
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
