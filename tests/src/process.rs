//! A backend as a process of its own: to be killed, to be told to stop, to be started twice.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, bail, ensure};

/// A `tollgated serve` that listens.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// Where the provider router listens: `127.0.0.1:1234`.
    pub router: String,
    /// Where the gateway listens.
    pub gateway: String,
    /// Where the event stream listens.
    pub events: String,
}

impl Process {
    /// Starts the program over a data directory, on ports of its own, and waits for its line.
    pub fn start(program: &str, data_dir: &Path) -> anyhow::Result<Self> {
        let mut command = serve(program, data_dir);
        command.stderr(Stdio::null());
        Self::spawn(command)
    }

    /// Runs a command made by [`serve`] and changed at will, and waits for its line. One that ends
    /// before it is an error with its exit code.
    pub fn spawn(mut command: Command) -> anyhow::Result<Self> {
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().context("no stdout")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        if !line.starts_with("ready ") {
            child.kill().ok();
            bail!("it did not start: {}, having said `{}`", child.wait()?, line.trim());
        }
        let at = |name: &str| {
            let found = line.split_whitespace().find_map(|word| word.strip_prefix(name));
            found.map(str::to_owned).with_context(|| format!("no `{name}` in `{line}`"))
        };
        let (router, gateway, events) = (at("router=")?, at("gateway=")?, at("events=")?);
        Ok(Self { child, router, gateway, events })
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal by its name, such as `STOP`.
    pub fn signal(&self, name: &str) -> anyhow::Result<()> {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &id]).status()?;
        ensure!(sent.success(), "kill -{name} failed");
        Ok(())
    }

    /// kill -9.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM; answers how it ended.
    pub fn terminate(mut self) -> anyhow::Result<ExitStatus> {
        self.signal("TERM")?;
        Ok(self.child.wait()?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A test that failed must not leave it running; one that is gone already is fine.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The command that serves a data directory on ports of its own.
pub fn serve(program: &str, data_dir: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["serve", "--router-port", "0", "--gateway-port", "0", "--events-port", "0"]);
    command.arg("--data-dir").arg(data_dir).env_remove("RUST_LOG").current_dir(data_dir);
    command
}
