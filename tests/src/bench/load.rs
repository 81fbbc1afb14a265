//! 负载：闭环、定速与流。
//!
//! Makes requests over bare connections, as cheaply as it can since it shares the machine with what it
//! measures. Owns how requests are paced; whoever calls says which and for how long.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::Shot;
use crate::harness::raw::Connection;

/// Longest that anything is waited for.
const PATIENCE: Duration = Duration::from_mins(2);

/// Connections that are opened at the same time.
const CONNECTING: usize = 50;

/// What came of many requests.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// From sending to the last byte, of those that were answered with 200.
    pub times: Vec<Duration>,
    /// Everything else, by what was seen.
    pub errors: BTreeMap<String, u64>,
}

impl Outcome {
    fn note(&mut self, began: Instant, status: io::Result<u16>) -> bool {
        let error = match status {
            Ok(200) => {
                self.times.push(began.elapsed());
                return true;
            }
            Ok(status) => format!("status {status}"),
            Err(error) => error.to_string(),
        };
        *self.errors.entry(error).or_insert(0) += 1;
        false
    }

    fn add(&mut self, other: Self) {
        self.times.extend(other.times);
        for (error, count) in other.errors {
            *self.errors.entry(error).or_insert(0) += count;
        }
    }
}

/// Sends and reads one answer; returns its status.
async fn exchange(connection: &mut Connection, bytes: &[u8]) -> io::Result<u16> {
    connection.send(bytes).await?;
    let reply = tokio::time::timeout(PATIENCE, connection.reply(false)).await;
    match reply.map_err(|_| io::ErrorKind::TimedOut)?? {
        Some(reply) if reply.complete => Ok(reply.head.status),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// One request on a connection of its own.
pub(super) async fn once(shot: &Shot) -> io::Result<u16> {
    let mut connection = Connection::open(shot.address).await?;
    exchange(&mut connection, &shot.bytes).await
}

/// Opens so many connections.
pub(super) async fn connect(shot: &Shot, count: usize) -> Vec<Connection> {
    let mut connections = Vec::with_capacity(count);
    while connections.len() < count {
        let more = CONNECTING.min(count - connections.len());
        let opening = (0..more).map(|_| Connection::open(shot.address));
        for opened in futures_util::future::join_all(opening).await {
            connections.push(opened.expect("a connection"));
        }
    }
    connections
}

/// Each connection asks again as soon as it is answered, until the time is over.
pub(super) async fn closed_loop(shot: &Shot, connections: usize, span: Duration) -> Outcome {
    let connections = connect(shot, connections).await;
    let end = Instant::now() + span;
    let mut clients = JoinSet::new();
    for mut connection in connections {
        let bytes = shot.bytes.clone();
        clients.spawn(async move {
            let mut outcome = Outcome::default();
            loop {
                let began = Instant::now();
                let status = exchange(&mut connection, &bytes).await;
                if !outcome.note(began, status) || Instant::now() >= end {
                    return outcome;
                }
            }
        });
    }
    together(clients).await
}

/// Asks at an even rate, whether answered or not, until the time is over.
pub(super) async fn open_loop(shot: &Shot, per_second: f64, span: Duration) -> Outcome {
    let idle: Arc<Mutex<Vec<Connection>>> = Arc::default();
    let began = Instant::now();
    let mut clients = JoinSet::new();
    let count = (per_second * span.as_secs_f64()) as u32;
    for number in 0..count {
        let at = began + Duration::from_secs_f64(f64::from(number) / per_second);
        tokio::time::sleep_until(at.into()).await;
        let (idle, shot) = (Arc::clone(&idle), shot.clone());
        clients.spawn(async move {
            let mut outcome = Outcome::default();
            let kept = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut connection = match kept {
                Some(kept) => kept,
                None => Connection::open(shot.address).await.expect("a connection"),
            };
            let sent = Instant::now();
            let status = exchange(&mut connection, &shot.bytes).await;
            if outcome.note(sent, status) {
                let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
                idle.push(connection);
            }
            outcome
        });
    }
    together(clients).await
}

async fn together(mut clients: JoinSet<Outcome>) -> Outcome {
    let mut all = Outcome::default();
    while let Some(outcome) = clients.join_next().await {
        all.add(outcome.expect("clients do not panic"));
    }
    all
}

/// What came of streams.
#[derive(Debug, Default)]
pub(super) struct Streamed {
    /// From sending to the first bytes of the body.
    pub first: Vec<Duration>,
    /// Pieces of body that arrived.
    pub chunks: u64,
}

/// Each connection reads streams one after the other until the time is over.
pub(super) async fn streams(shot: &Shot, connections: usize, span: Duration) -> Streamed {
    let connections = connect(shot, connections).await;
    let end = Instant::now() + span;
    let mut clients = JoinSet::new();
    for mut connection in connections {
        let bytes = shot.bytes.clone();
        clients.spawn(async move {
            let mut streamed = Streamed::default();
            while Instant::now() < end {
                read_stream(&mut connection, &bytes, &mut streamed)
                    .await
                    .expect("a whole stream");
            }
            streamed
        });
    }
    let mut all = Streamed::default();
    while let Some(streamed) = clients.join_next().await {
        let streamed = streamed.expect("clients do not panic");
        all.first.extend(streamed.first);
        all.chunks += streamed.chunks;
    }
    all
}

async fn read_stream(
    connection: &mut Connection,
    bytes: &[u8],
    streamed: &mut Streamed,
) -> io::Result<()> {
    let began = Instant::now();
    connection.send(bytes).await?;
    let head = connection.head().await?;
    if head.as_ref().map(|head| head.status) != Some(200) {
        return Err(io::Error::other(format!("{head:?}")));
    }
    let mut is_first = true;
    while let Some((_, at)) = connection.chunk().await? {
        if std::mem::take(&mut is_first) {
            streamed.first.push(at - began);
        }
        streamed.chunks += 1;
    }
    Ok(())
}
