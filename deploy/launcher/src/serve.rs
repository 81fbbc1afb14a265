//! 一次运行：锁住状态目录，启动 workerd，报告就绪，按分钟触发，按时结束。
//!
//! Owns the life of one workerd process and the order of start and stop. What workerd runs is told by the
//! configuration in the release. Invariant: when this process ends in order, workerd has ended, within 4 s of the
//! signal; when it is killed, a watcher kills workerd, and until then the lock is workerd's: no second gateway starts
//! on the same state.

use std::fs::{self, File, OpenOptions};
use std::os::fd::AsFd;
#[cfg(target_os = "linux")]
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::fcntl::{FcntlArg, FdFlag, Flock, FlockArg, fcntl};
use nix::sys::signal::{SigSet, Signal, kill, killpg};
use nix::unistd::Pid;

use crate::control::{Answer, announce_stop, over_socket, over_tcp};
use crate::lines::{Complaints, forward, listening_port};
use crate::settings::{Settings, reachable, read};

const START_MAX: Duration = Duration::from_secs(30);
/// workerd waits for requests in flight when told to stop; streams may be endless.
const DRAIN_MAX: Duration = Duration::from_secs(3);
/// A gateway that does not hear of its stop within this time is stopped all the same.
const ANNOUNCE_MAX: Duration = Duration::from_secs(1);
const PROBE_MAX: Duration = Duration::from_secs(5);
const RETRY_AFTER: Duration = Duration::from_millis(50);
const MINUTE_MS: u64 = 60_000;
/// The trigger of wrangler.toml, urlencoded; `make release` makes sure that it is this one.
const CRON: &str = "*+*+*+*+*";
/// A cron run may take as long as the pause to the next one.
const CRON_MAX: Duration = Duration::from_mins(1);

enum Event {
    /// SIGTERM, SIGINT or SIGHUP.
    Stop,
    Listening(u16),
    Ready,
    NotReady(String),
    /// The standard output of workerd has ended, and so has it.
    Ended,
}

/// Runs until a signal or until workerd dies by itself, which is an error.
pub(crate) fn run(lookup: impl Fn(&str) -> Option<String>) -> Result<(), String> {
    let settings = read(&lookup)?;
    let release = release()?;
    let run = settings.state.join("run");
    let storage = settings.state.join("storage");
    for folder in [&run, &storage] {
        make_folder(folder)?;
    }
    let _lock = lock(&settings.state)?;
    // A Unix socket's path may be 100 bytes long at most, so it is named from here.
    std::env::set_current_dir(&run).map_err(|error| format!("{}: {error}", run.display()))?;
    let socket = Path::new("control.sock");
    // Left by a run that was killed; that it is not there is well.
    let _ = fs::remove_file(socket);

    let (events, inbox) = channel();
    // Before any thread and before the child: who gets the signals is settled from the start.
    watch_signals(events.clone())?;
    let notify = lookup("NOTIFY_SOCKET");
    let mut child = start(&release, &settings, &storage, lookup)?;
    let watcher = watch_over(&child);
    let complaints = watch_lines(&mut child, &events);
    let outcome = supervise(&settings, &inbox, &events, socket, notify.as_deref());
    let status = end(&mut child);
    if let Ok(mut watcher) = watcher {
        // Before anybody else can get workerd's number.
        let _ = watcher.kill();
        let _ = watcher.wait();
    }
    let _ = fs::remove_file(socket);
    match outcome {
        Err(message) => {
            let complaints = complaints
                .lock()
                .map(|lines| lines.text())
                .unwrap_or_default();
            Err(format!("{message} ({status}){complaints}"))
        }
        Ok(()) => Ok(()),
    }
}

/// Folder of the release: this program is its `bin/sluice`.
fn release() -> Result<PathBuf, String> {
    let program =
        std::env::current_exe().map_err(|error| format!("where is this program? {error}"))?;
    let folder = program.parent().and_then(Path::parent);
    folder
        .filter(|folder| folder.join("gateway/public.capnp").is_file())
        .map(Path::to_path_buf)
        .ok_or_else(|| format!("{} does not lie in a release of Sluice", program.display()))
}

fn make_folder(folder: &Path) -> Result<(), String> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| format!("{} cannot be made: {error}", folder.display()))
}

/// One gateway for each state. workerd inherits the lock: it is free only when both are gone.
fn lock(state: &Path) -> Result<Flock<File>, String> {
    let path = state.join("lock");
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(|error| told(&error))?;
    let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock)
        .map_err(|_| format!("another gateway runs with the state in {}", state.display()))?;
    fcntl(lock.as_fd(), FcntlArg::F_SETFD(FdFlag::empty())).map_err(|error| told(&error))?;
    Ok(lock)
}

fn watch_signals(events: Sender<Event>) -> Result<(), String> {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        signals.add(signal);
    }
    // Only `wait` sees them from now on, in this thread and in all that it begets. A child starts with none blocked.
    signals
        .thread_block()
        .map_err(|error| format!("signals: {error}"))?;
    thread::spawn(move || {
        while signals.wait().is_ok() {
            if events.send(Event::Stop).is_err() {
                return;
            }
        }
    });
    Ok(())
}

fn start(
    release: &Path,
    settings: &Settings,
    storage: &Path,
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<Child, String> {
    let config = if settings.private_upstreams {
        "private.capnp"
    } else {
        "public.capnp"
    };
    let names = read_text(&release.join("gateway/variables"))?;
    let folders = read_text(&release.join("gateway/folders"))?;
    let mut command = Command::new(release.join("bin/workerd"));
    command
        .args(["serve", "--experimental", "--control-fd=1"])
        .arg(format!("--socket-addr=http={}", settings.address))
        .args(folders.lines().filter_map(|line| {
            let (name, folder) = line.split_once('=')?;
            Some(override_of(name, &release.join(folder)))
        }))
        .arg(override_of("storage", storage))
        .arg(release.join("gateway").join(config))
        .arg("config")
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A terminal's Ctrl-C reaches only us, who then stop it in order.
        .process_group(0);
    // An empty value counts as unset; a binding without its variable would be null.
    for name in names.lines() {
        command.env(name, lookup(name).unwrap_or_default());
    }
    for name in ["PATH", "SSL_CERT_FILE", "SSL_CERT_DIR"] {
        if let Some(value) = lookup(name) {
            command.env(name, value);
        }
    }
    command
        .spawn()
        .map_err(|error| format!("workerd does not start: {error}"))
}

fn read_text(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))
}

fn override_of(name: &str, folder: &Path) -> std::ffi::OsString {
    let mut argument = std::ffi::OsString::from(format!("--directory-path={name}="));
    argument.push(folder);
    argument
}

/// This program once more: it waits for us to be gone, however we die, and then kills workerd's group.
fn watch_over(child: &Child) -> std::io::Result<Child> {
    Command::new(std::env::current_exe()?)
        .args(["watch", &child.id().to_string()])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
}

/// What the watcher does. Its standard input ends when its parent does.
pub(crate) fn watch(group: &str) -> Result<(), String> {
    let group: i32 = group
        .parse()
        .map_err(|_| format!("{group} is no process"))?;
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())
        .map_err(|error| error.to_string())?;
    killpg(Pid::from_raw(group), Signal::SIGKILL).map_err(|error| error.to_string())
}

/// Reads both streams of workerd to their ends, so that it never waits for a reader.
fn watch_lines(child: &mut Child, events: &Sender<Event>) -> Arc<Mutex<Complaints>> {
    let complaints = Arc::new(Mutex::new(Complaints::default()));
    if let Some(stream) = child.stderr.take() {
        let complaints = Arc::clone(&complaints);
        thread::spawn(move || {
            forward(stream, "error", |line| {
                if let Ok(mut complaints) = complaints.lock() {
                    complaints.push(line);
                }
                false
            });
        });
    }
    if let Some(stream) = child.stdout.take() {
        let events = events.clone();
        thread::spawn(move || {
            forward(stream, "info", |line| {
                let port = listening_port(line, "http");
                let control = listening_port(line, "control").is_some()
                    || line.contains(r#""event":"listen""#);
                if let Some(port) = port {
                    let _ = events.send(Event::Listening(port));
                }
                port.is_some() || control
            });
            let _ = events.send(Event::Ended);
        });
    }
    complaints
}

/// From the start to the signal.
fn supervise(
    settings: &Settings,
    inbox: &Receiver<Event>,
    events: &Sender<Event>,
    socket: &'static Path,
    notify: Option<&str>,
) -> Result<(), String> {
    let deadline = Instant::now().checked_add(START_MAX);
    let mut address = settings.address;
    let mut ready = false;
    loop {
        let left = deadline.map_or(START_MAX, |deadline| {
            deadline.saturating_duration_since(Instant::now())
        });
        let event = if ready {
            inbox.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            inbox.recv_timeout(left)
        };
        match event {
            Ok(Event::Stop) => return Ok(()),
            Ok(Event::Ended) => return Err("workerd ended unexpectedly".to_owned()),
            Ok(Event::NotReady(reason)) => return Err(reason),
            Ok(Event::Listening(port)) => {
                address.set_port(port);
                let (address, events) = (address, events.clone());
                thread::spawn(move || {
                    let probed =
                        probe(&address, socket).map_or_else(Event::NotReady, |()| Event::Ready);
                    let _ = events.send(probed);
                });
            }
            Ok(Event::Ready) => {
                ready = true;
                println!("ready http://{}", reachable(address));
                tell_systemd(notify);
                thread::spawn(move || fire_every_minute(socket));
            }
            Err(_) => {
                return Err(format!(
                    "the gateway was not ready within {} s",
                    START_MAX.as_secs()
                ));
            }
        }
    }
}

/// Type=notify: `systemctl start` and what is ordered after it wait for this. Where nobody asked, nothing is told.
fn tell_systemd(notify: Option<&str>) {
    let Some(name) = notify else { return };
    let address = match name.strip_prefix('@') {
        #[cfg(target_os = "linux")]
        Some(name) => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(name),
    };
    if let (Ok(address), Ok(socket)) = (address, UnixDatagram::unbound()) {
        // A failure shows there: the start is not seen to succeed.
        let _ = socket.send_to_addr(b"READY=1", &address);
    }
}

/// Migrations applied and /health answering. What does not answer at all may do so later.
fn probe(address: &std::net::SocketAddr, socket: &Path) -> Result<(), String> {
    loop {
        match over_socket(socket, "/storage", PROBE_MAX) {
            Ok(Answer { status: 200, .. }) => break,
            Ok(Answer { body, .. }) => return Err(format!("the database cannot be used: {body}")),
            Err(_) => thread::sleep(RETRY_AFTER),
        }
    }
    while !matches!(
        over_tcp(address, "/health", PROBE_MAX),
        Ok(Answer { status: 200, .. })
    ) {
        thread::sleep(RETRY_AFTER);
    }
    Ok(())
}

/// Fires `scheduled` at the start of each minute, like the platform does; a run that fails is tried again by the next.
fn fire_every_minute(socket: &Path) {
    loop {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let (due, wait) = next_minute(u64::try_from(now.as_millis()).unwrap_or_default());
        thread::sleep(wait);
        let _ = over_socket(
            socket,
            &format!("/scheduled?cron={CRON}&time={due}"),
            CRON_MAX,
        );
    }
}

/// The start of the next minute, in milliseconds since the epoch, and how long it takes until then.
fn next_minute(now_ms: u64) -> (u64, Duration) {
    let into = now_ms.checked_rem(MINUTE_MS).unwrap_or_default();
    let wait = MINUTE_MS.saturating_sub(into);
    (now_ms.saturating_add(wait), Duration::from_millis(wait))
}

/// Asks workerd to end, waits, and then kills what is left of its group.
fn end(child: &mut Child) -> String {
    let group = i32::try_from(child.id()).map(Pid::from_raw);
    if let Ok(group) = group {
        // Open until workerd has ended.
        let _answer = announce_stop(Path::new("control.sock"), ANNOUNCE_MAX);
        let _ = kill(group, Signal::SIGTERM);
        let deadline = Instant::now().checked_add(DRAIN_MAX);
        while deadline.is_some_and(|deadline| Instant::now() < deadline) {
            if let Ok(Some(status)) = child.try_wait() {
                return told(status);
            }
            thread::sleep(RETRY_AFTER);
        }
    }
    let _ = child.kill();
    child.wait().map_or_else(|error| error.to_string(), told)
}

fn told(status: ExitStatus) -> String {
    format!("workerd: {status}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_minute_is_never_the_present_one() {
        assert_eq!(next_minute(0), (60_000, Duration::from_mins(1)));
        assert_eq!(next_minute(59_999), (60_000, Duration::from_millis(1)));
        assert_eq!(next_minute(60_000), (120_000, Duration::from_mins(1)));
    }

    #[test]
    fn systemd_is_told_on_its_socket_of_either_kind() {
        let folder = std::env::temp_dir().join(format!("sluice-notify-{}", std::process::id()));
        make_folder(&folder).unwrap();
        let path = folder.join("socket");
        let abstract_name = format!("sluice-notify-{}", std::process::id());
        let listeners = [
            (
                path.to_string_lossy().into_owned(),
                UnixDatagram::bind(&path).unwrap(),
            ),
            (
                format!("@{abstract_name}"),
                UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&abstract_name).unwrap())
                    .unwrap(),
            ),
        ];
        for (name, listener) in listeners {
            tell_systemd(Some(&name));
            let mut message = [0; 16];
            let length = listener.recv(&mut message).unwrap();
            assert_eq!(&message[..length], b"READY=1");
        }
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_state_belongs_to_one_gateway_at_a_time() {
        let state = std::env::temp_dir().join(format!("sluice-lock-{}", std::process::id()));
        make_folder(&state).unwrap();
        let first = lock(&state).unwrap();
        assert!(
            lock(&state)
                .unwrap_err()
                .starts_with("another gateway runs")
        );
        drop(first);
        assert!(lock(&state).is_ok());
        fs::remove_dir_all(&state).unwrap();
    }
}
