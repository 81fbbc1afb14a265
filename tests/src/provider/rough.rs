//! 粗暴的上游：逐字节照剧本演，HTTP 库做不出的错都能犯。
//!
//! Owns a listener that answers each request by a script, chosen by the first segment of the path: any bytes, repeated,
//! dripped or held back, and the connection's end by FIN or RST. It understands of a request only where it ends.
//!
//! Invariant: nothing is sent but what the script says; no step waits for a time but a drip.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Between two pieces of a drip.
const DRIP: Duration = Duration::from_millis(20);

/// Requests here are small.
const REQUEST_BYTES_MAX: usize = 1024 * 1024;

/// One step of a script.
#[derive(Clone, Debug)]
pub enum Act {
    /// These bytes at once.
    Send(Vec<u8>),
    /// These bytes so many times, as fast as they are taken.
    Flood(Vec<u8>, u64),
    /// These bytes one by one, with a little time between them.
    Drip(Vec<u8>),
    /// Nothing more, until the other side goes.
    Stall,
    /// The end of the connection by RST; without it by FIN.
    Reset,
}

/// What has happened at a [`Rough`] provider.
#[derive(Debug, Default)]
pub struct Tally {
    requests: AtomicU64,
    sent_bytes: AtomicU64,
    ended: watch::Sender<u64>,
}

impl Tally {
    /// Requests that came.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Bytes of answers that the other side has taken.
    pub fn sent_bytes(&self) -> u64 {
        self.sent_bytes.load(Ordering::Relaxed)
    }

    /// Waits until so many answers are over, by the script or by the other side.
    pub async fn ended(&self, count: u64) {
        let mut ended = self.ended.subscribe();
        // The sender lives as long as this value.
        let _ = ended.wait_for(|ended| *ended >= count).await;
    }
}

/// A running provider; it stops when dropped.
#[derive(Debug)]
pub struct Rough {
    address: SocketAddr,
    tallies: HashMap<String, Arc<Tally>>,
    _stop: watch::Sender<()>,
}

type Scripts = HashMap<String, (Vec<Act>, Arc<Tally>)>;

impl Rough {
    /// Starts one with these scripts on a free port; within a tokio runtime.
    pub async fn start(scripts: impl IntoIterator<Item = (String, Vec<Act>)>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let scripts: Scripts = scripts
            .into_iter()
            .map(|(name, script)| (name, (script, Arc::default())))
            .collect();
        let tallies = scripts
            .iter()
            .map(|(name, (_, tally))| (name.clone(), Arc::clone(tally)))
            .collect();
        let (stop, stopped) = watch::channel(());
        tokio::spawn(listen(listener, Arc::new(scripts), stopped));
        Ok(Self {
            address,
            tallies,
            _stop: stop,
        })
    }

    /// The base URL of a script.
    pub fn base_url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address)
    }

    /// What has happened by a script.
    pub fn tally(&self, name: &str) -> &Tally {
        &self.tallies[name]
    }
}

async fn listen(listener: TcpListener, scripts: Arc<Scripts>, mut stopped: watch::Receiver<()>) {
    loop {
        tokio::select! {
            _ = stopped.changed() => return,
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                let (scripts, mut stopped) = (Arc::clone(&scripts), stopped.clone());
                tokio::spawn(async move {
                    tokio::select! {
                        _ = stopped.changed() => {}
                        () = connection(stream, &scripts) => {}
                    }
                });
            }
        }
    }
}

/// One request, one script, then the end: a connection is never used twice.
async fn connection(mut stream: TcpStream, scripts: &Scripts) {
    let _ = stream.set_nodelay(true);
    let Ok(Some(name)) = request(&mut stream).await else {
        return;
    };
    let Some((script, tally)) = scripts.get(&name) else {
        return;
    };
    tally.requests.fetch_add(1, Ordering::Relaxed);
    // An error is the other side that has gone: the script is over.
    let _ = play(&mut stream, script, tally).await;
    tally.ended.send_modify(|ended| *ended += 1);
}

/// Reads a request to its end; answers the first segment of its path.
async fn request(stream: &mut TcpStream) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    while bytes.len() < REQUEST_BYTES_MAX {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"))
            .and_then(|length| length.trim().parse::<usize>().ok());
        if bytes.len() >= end + 4 + length.unwrap_or(0) {
            let path = head.split(' ').nth(1).unwrap_or_default();
            return Ok(path.split('/').nth(1).map(str::to_owned));
        }
    }
    Ok(None)
}

async fn play(stream: &mut TcpStream, script: &[Act], tally: &Tally) -> io::Result<()> {
    for act in script {
        match act {
            Act::Send(bytes) => write(stream, bytes, tally).await?,
            Act::Flood(bytes, times) => {
                for _ in 0..*times {
                    write(stream, bytes, tally).await?;
                }
            }
            Act::Drip(bytes) => {
                for byte in bytes {
                    write(stream, &[*byte], tally).await?;
                    tokio::time::sleep(DRIP).await;
                }
            }
            Act::Stall => {
                let mut ignored = [0; 1024];
                while stream.read(&mut ignored).await? > 0 {}
                return Ok(());
            }
            Act::Reset => {
                // Linger 0 turns the close into a reset; what was sent must have been read before.
                SockRef::from(&*stream).set_linger(Some(Duration::ZERO))?;
                return Ok(());
            }
        }
    }
    // Whoever still writes would get a reset instead of the end.
    stream.shutdown().await?;
    let mut ignored = [0; 1024];
    while stream.read(&mut ignored).await? > 0 {}
    Ok(())
}

async fn write(stream: &mut TcpStream, bytes: &[u8], tally: &Tally) -> io::Result<()> {
    stream.write_all(bytes).await?;
    tally
        .sent_bytes
        .fetch_add(bytes.len() as u64, Ordering::Relaxed);
    Ok(())
}
