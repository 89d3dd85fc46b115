//! Child processes that never outlive the tests.

use std::{
    fmt,
    fs::File,
    io::PipeWriter,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{OnceLock, mpsc},
    thread,
};

use anyhow::Context;
pub use rustix::process::Signal;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, kill_process, setrlimit};

/// A program that ends with this process, however this process ends.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    end: End,
}

/// The signal at which a program ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// SIGKILL.
    Kill,
    /// SIGTERM, at which it ends its child processes first.
    Terminate,
    /// SIGQUIT, likewise.
    Quit,
}

impl End {
    fn name(self) -> &'static str {
        match self {
            Self::Kill => "KILL",
            Self::Terminate => "TERM",
            Self::Quit => "QUIT",
        }
    }
}

impl Process {
    /// Starts `command` with its output appended to the file `log`. It will be ended by SIGKILL.
    pub fn start(name: &str, command: &Command, log: &Path) -> anyhow::Result<Self> {
        Self::start_to_end_by(End::Kill, name, command, log)
    }

    /// Starts `command` with its output in a pipe. It will be ended by SIGKILL.
    pub fn start_into(name: &str, command: &Command, output: PipeWriter) -> anyhow::Result<Self> {
        let (stdout, stderr) = (output.try_clone()?.into(), output.into());
        Self::spawn(End::Kill, name, command, (stdout, stderr), Path::new("/dev/null"))
    }

    /// Starts a program that has child processes of its own. It will be ended by SIGTERM, at which it ends them.
    pub fn start_family(name: &str, command: &Command, log: &Path) -> anyhow::Result<Self> {
        Self::start_to_end_by(End::Terminate, name, command, log)
    }

    /// Starts a program that will be ended in this way.
    pub(crate) fn start_to_end_by(end: End, name: &str, command: &Command, log: &Path) -> anyhow::Result<Self> {
        let file = File::options().create(true).append(true).open(log).context("cannot open a log file")?;
        let output = (file.try_clone()?.into(), file.into());
        Self::spawn(end, name, command, output, log)
    }

    /// Starts `command` with these outputs for its standard output and standard error.
    fn spawn(
        end: End,
        name: &str,
        command: &Command,
        (stdout, stderr): (Stdio, Stdio),
        log: &Path,
    ) -> anyhow::Result<Self> {
        // `setpriv` asks the kernel to kill the program when the thread that started it ends. Rust offers that only
        // through `unsafe`, and util-linux is on every Linux.
        let mut wrapped = Command::new("setpriv");
        wrapped.args(["--pdeathsig", end.name(), "--"]).arg(command.get_program()).args(command.get_args());
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => wrapped.env(key, value),
                None => wrapped.env_remove(key),
            };
        }
        wrapped.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        let child = spawn(wrapped).with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned(), end })
    }

    /// Returns the process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends `signal` to the process.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("no process id")?;
        kill_process(id, signal).with_context(|| format!("cannot signal {}", self.name))
    }

    /// Kills the process with SIGKILL and waits for its end.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Returns the exit status, once the process has ended.
    pub fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Returns an error, with the end of the log, if the process has ended.
    pub fn check_running(&mut self) -> anyhow::Result<()> {
        let Some(status) = self.ended()? else { return Ok(()) };
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().rev().take(15).collect();
        let last: Vec<_> = lines.into_iter().rev().collect();
        Err(Ended(format!("{} ended with {status}; the end of its log:\n{}", self.name, last.join("\n"))).into())
    }
}

/// The error that a program has ended which should run: waiting longer is pointless.
#[derive(Debug)]
pub(crate) struct Ended(String);

impl std::error::Error for Ended {}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = match self.end {
            End::Kill => self.kill(),
            End::Terminate => self.signal(Signal::TERM).and_then(|()| Ok(self.child.wait().map(drop)?)),
            End::Quit => self.signal(Signal::QUIT).and_then(|()| Ok(self.child.wait().map(drop)?)),
        };
    }
}

/// Raises the number of files that this process, and programs that it starts, may open to the most that is allowed.
pub fn raise_file_limit() -> anyhow::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })
        .context("cannot raise the limit of open files")
}

/// Starts `command` on a thread that lives as long as this process: the kernel ends the program with the thread that has
/// started it.
fn spawn(command: Command) -> anyhow::Result<Child> {
    type Order = (Command, mpsc::SyncSender<std::io::Result<Child>>);
    static STARTER: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (sender, orders) = mpsc::channel::<Order>();
        thread::spawn(move || {
            for (mut command, reply) in orders {
                let _ = reply.send(command.spawn());
            }
        });
        sender
    });
    let (reply, child) = mpsc::sync_channel(1);
    starter.send((command, reply)).context("the starting thread has ended")?;
    Ok(child.recv().context("the starting thread has ended")??)
}
