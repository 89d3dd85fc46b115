//! `ilb top`: shows the state of a running ilb, or of several replicas together, live.

mod choice;
mod feed;
mod keys;

use std::{io::Read, ops::ControlFlow};

use clap::{ArgMatches, Command};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

use self::{
    choice::{Choice, HELP},
    feed::{Feed, Latest},
    keys::Decoder,
};
use super::{
    output::print_next,
    remote,
    terminal::{self, Screen},
    view,
};
use crate::{
    exit::{Exit, Failure},
    process::runtime::block_on,
};

pub(super) fn command() -> Command {
    Command::new("top")
        .about("Show the state of a running ilb, or of several replicas together, live; q quits, ? shows the keys")
        .args(remote::flags())
        .after_help("Example: ilb top -n my-namespace deploy/my-lb")
        .after_long_help(
            "In a terminal, shows a screen that updates live; elsewhere, prints a line per change and at least one a \
             second. Replicas are named as for `ilb status`, and those that come and go are followed; they must be of one \
             release.\n\nExamples:\n  ilb top -n my-namespace deploy/my-lb\n  kubectl ilb top my-release\n  \
             kubectl exec -it deploy/my-lb -c ilb -- ilb top\n  ilb top --url http://10.0.0.7:8081",
        )
}

pub(super) fn execute(matches: &ArgMatches) -> Result<Exit, Failure> {
    block_on(async {
        // Before the screen is opened, so that a wrong URL is reported on stderr.
        let feed = Feed::start(remote::connect(matches).await?).await?;
        match Screen::open()? {
            Some(screen) => paint_statuses(feed, &screen).await,
            None => print_statuses(feed).await,
        }
        .map_err(Failure::Failed)
    })?;
    Ok(Exit::Done)
}

/// Content of the screen.
struct Content {
    latest: Latest,
    /// Name of what is shown.
    title: String,
    choice: Choice,
}

/// Paints each status until a key or a signal ends it.
async fn paint_statuses(mut feed: Feed, screen: &Screen) -> anyhow::Result<()> {
    let mut keys = keys();
    let [mut interrupted, mut terminated] = [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?];
    let [mut hung_up, mut resized] = [signal(SignalKind::hangup())?, signal(SignalKind::window_change())?];
    let mut content = Content { latest: Latest::default(), title: feed.title.clone(), choice: Choice::default() };
    let mut decoder = Decoder::default();
    loop {
        tokio::select! {
            biased;
            _ = interrupted.recv() => return Ok(()),
            _ = terminated.recv() => return Ok(()),
            _ = hung_up.recv() => return Ok(()),
            key = keys.recv() => match key {
                None => return Ok(()),
                Some(byte) => match decoder.push(byte) {
                    None => continue,
                    Some(key) => {
                        if content.press(key).is_break() {
                            return Ok(());
                        }
                    }
                },
            },
            _ = resized.recv() => {}
            latest = feed.next() => content.latest = latest,
        }
        screen.paint(&content.text())?;
    }
}

impl Content {
    fn press(&mut self, key: keys::Key) -> ControlFlow<()> {
        let page = terminal::room().height.unwrap_or(24).saturating_sub(4).max(1);
        let overview = self.latest.overview.as_ref();
        let pools = overview.map(|overview| self.choice.pools(&overview.status)).unwrap_or_default();
        self.choice.press(key, &pools, page)
    }

    fn text(&mut self) -> String {
        let room = terminal::room();
        if self.choice.shows_help {
            return view::help(HELP, room);
        }
        let mut chosen = self.latest.overview.clone();
        if let Some(overview) = &mut chosen {
            overview.status = self.choice.of(&overview.status);
        }
        let foot = format!("{}   {}", self.choice.text(), self.title);
        let scrolled = &mut self.choice.scrolled;
        view::screen(chosen.as_ref(), self.latest.problem.as_deref(), &foot, scrolled, room)
    }
}

/// Prints a line for each status, for a log or a pipe, until the reader has closed the pipe.
async fn print_statuses(mut feed: Feed) -> anyhow::Result<()> {
    loop {
        let Latest { overview, problem } = feed.next().await;
        let line = problem.or_else(|| overview.as_ref().map(view::line)).unwrap_or_default();
        if let ControlFlow::Break(()) = print_next(&(line + "\n"))? {
            return Ok(());
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
