//! 子进程：就绪行、日志、必定收尾。
//!
//! Owns starting a command in its own process group, waiting for its ready line,
//! keeping its output, and killing the whole group. A watchdog (`sh` reading a
//! pipe that this process holds) kills the group also when this process is
//! killed in a way that runs no destructors.

use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tokio::sync::watch;

/// Groups that are alive, for [`kill_everything`].
static GROUPS: Mutex<Vec<i32>> = Mutex::new(Vec::new());

/// How often a child's end is looked for: the platform has no event for it that needs no handler.
const EXIT_POLL: Duration = Duration::from_millis(10);

/// Everything a process wrote, both streams, in order of arrival by line.
#[derive(Clone, Debug)]
pub struct Log {
    text: Arc<Mutex<Vec<u8>>>,
    /// Streams that are still open; the last one to close is the end of the process's output.
    open: Arc<watch::Sender<usize>>,
    length: Arc<watch::Sender<usize>>,
}

impl Log {
    fn new() -> Self {
        Self {
            text: Arc::default(),
            open: Arc::new(watch::channel(0).0),
            length: Arc::new(watch::channel(0).0),
        }
    }

    fn append(&self, line: &[u8]) {
        let mut text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        text.extend_from_slice(line);
        let length = text.len();
        drop(text);
        self.length.send_replace(length);
    }

    /// All bytes so far.
    pub fn bytes(&self) -> Vec<u8> {
        self.text
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// All text so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    /// Waits for the first line for which `pick` has an answer; `None` after `bound` or at the output's end.
    pub async fn wait_for<T>(
        &self,
        bound: Duration,
        pick: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let (mut open, mut length) = (self.open.subscribe(), self.length.subscribe());
        let search = async {
            loop {
                let at_end = *open.borrow_and_update() == 0;
                if let Some(found) = self.text().lines().find_map(&pick) {
                    return Some(found);
                }
                if at_end {
                    return None;
                }
                // The senders live as long as this log; either of them wakes.
                tokio::select! {
                    _ = length.changed() => {}
                    _ = open.changed() => {}
                }
            }
        };
        tokio::time::timeout(bound, search).await.ok().flatten()
    }
}

/// A child process with its group.
#[derive(Debug)]
pub struct Process {
    child: Child,
    watchdog: Option<Child>,
    log: Log,
}

impl Process {
    /// Starts the command in a process group of its own.
    pub fn start(command: Command) -> Self {
        let mut process = Self::spawn(command, Stdio::null());
        copy_lines(process.child.stdout.take(), &process.log);
        process
    }

    /// Starts a command that is talked to over its standard input and output; its log is standard error.
    pub fn start_talking(command: Command) -> (Self, ChildStdin, ChildStdout) {
        let mut process = Self::spawn(command, Stdio::piped());
        let pipes = (process.child.stdin.take(), process.child.stdout.take());
        let (Some(input), Some(output)) = pipes else {
            unreachable!("both were asked for")
        };
        (process, input, output)
    }

    fn spawn(mut command: Command, input: Stdio) -> Self {
        let name = format!("{command:?}");
        let mut child = command
            .process_group(0)
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let group = child.id().cast_signed();
        GROUPS
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(group);
        let watchdog = Command::new("sh")
            .args([
                "-c",
                "cat >/dev/null; kill -s KILL -- \"-$0\" 2>/dev/null",
                &group.to_string(),
            ])
            .process_group(0)
            .stdin(Stdio::piped())
            .spawn()
            .ok();
        let log = Log::new();
        copy_lines(child.stderr.take(), &log);
        Self {
            child,
            watchdog,
            log,
        }
    }

    /// Waits for the line that says it is ready.
    pub async fn ready<T>(&self, bound: Duration, pick: impl Fn(&str) -> Option<T>) -> T {
        match self.log.wait_for(bound, pick).await {
            Some(found) => found,
            None => panic!(
                "no ready line within {bound:?}; the log so far:\n{}",
                self.log.text()
            ),
        }
    }

    /// What it wrote.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Process id, which is also the id of its group.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends the signal to the process (not to its group, as a terminal's user would to the launcher).
    pub fn signal(&self, signal: Signal) {
        // Fails only if it is gone already, which the caller notices by waiting.
        let _ = kill(Pid::from_raw(self.child.id().cast_signed()), signal);
    }

    /// Waits for its own end; `None` after `bound`.
    pub async fn wait(&mut self, bound: Duration) -> Option<ExitStatus> {
        let waiting = async {
            loop {
                if let Ok(Some(status)) = self.child.try_wait() {
                    return status;
                }
                tokio::time::sleep(EXIT_POLL).await;
            }
        };
        tokio::time::timeout(bound, waiting).await.ok()
    }
}

/// Whether a process with this id is alive.
pub fn is_alive(id: i32) -> bool {
    kill(Pid::from_raw(id), None).is_ok()
}

impl Drop for Process {
    fn drop(&mut self) {
        let group = self.child.id().cast_signed();
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        let _ = self.child.wait();
        GROUPS
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|alive| *alive != group);
        if let Some(mut watchdog) = self.watchdog.take() {
            // Ended before its pipe closes: the group's number may be another's by then.
            let _ = watchdog.kill();
            let _ = watchdog.wait();
        }
    }
}

/// Kills every group that is alive; for the end of the test process.
pub fn kill_everything() {
    for group in GROUPS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .drain(..)
    {
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
}

fn copy_lines(source: Option<impl Read + Send + 'static>, log: &Log) {
    let Some(source) = source else { return };
    let log = log.clone();
    log.open.send_modify(|open| *open += 1);
    std::thread::spawn(move || {
        let mut source = BufReader::new(source);
        let mut line = Vec::new();
        while matches!(source.read_until(b'\n', &mut line), Ok(read) if read > 0) {
            log.append(&line);
            line.clear();
        }
        log.open.send_modify(|open| *open -= 1);
    });
}
