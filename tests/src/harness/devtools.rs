//! DevTools 协议：管道上以 NUL 分隔的 JSON。
//!
//! Owns the wire to a browser: calls with their answers, and the events of each session in order of arrival.
//! Knows nothing of pages. Two threads read and write, because the browser's pipe is an ordinary one.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{ChildStdin, ChildStdout};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::sync::{oneshot, watch};

/// The end of every message.
const END: u8 = 0;

/// The wire to one browser.
#[derive(Debug)]
pub(super) struct Wire {
    messages: std::sync::mpsc::Sender<Value>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Counts what has arrived.
    arrived: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    last_id: u64,
    waiting: HashMap<u64, oneshot::Sender<Value>>,
    events: HashMap<String, Vec<Value>>,
}

impl Wire {
    pub(super) fn new(mut input: ChildStdin, output: ChildStdout) -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            arrived: watch::channel(0).0,
        });
        let (messages, outgoing) = std::sync::mpsc::channel::<Value>();
        std::thread::spawn(move || {
            for message in outgoing {
                let mut bytes = message.to_string().into_bytes();
                bytes.push(END);
                if input.write_all(&bytes).is_err() {
                    return;
                }
            }
        });
        let incoming = Arc::clone(&shared);
        std::thread::spawn(move || {
            let mut output = BufReader::new(output);
            let mut bytes = Vec::new();
            while matches!(output.read_until(END, &mut bytes), Ok(read) if read > 0) {
                bytes.pop();
                incoming.take(serde_json::from_slice(&bytes).unwrap_or_default());
                bytes.clear();
            }
            // Nobody will be answered any more.
            incoming.state().waiting.clear();
        });
        Self { messages, shared }
    }

    /// Calls a method of the browser, or of a session's page.
    pub(super) async fn call(
        &self,
        session: Option<&str>,
        method: &str,
        params: Value,
    ) -> Result<Value, String> {
        let (sender, answer) = oneshot::channel();
        let id = self.shared.expect(sender);
        let mut message = json!({"id": id, "method": method, "params": params});
        if let Some(session) = session {
            message["sessionId"] = json!(session);
        }
        // Where the writer has ended, the reader has too, and the answer says so.
        let _ = self.messages.send(message);
        let mut answer = answer.await.map_err(|_| "the browser is gone".to_owned())?;
        match answer.get("error") {
            Some(error) => Err(error.to_string()),
            None => Ok(answer["result"].take()),
        }
    }

    /// The events of a session so far.
    pub(super) fn events(&self, session: &str) -> Vec<Value> {
        let state = self.shared.state();
        state.events.get(session).cloned().unwrap_or_default()
    }

    /// Waits for the first event of a session, from the `after`th on, that `is_it`.
    pub(super) async fn event(&self, session: &str, after: usize, is_it: impl Fn(&Value) -> bool) {
        let mut arrived = self.shared.arrived.subscribe();
        let has_come = || {
            let state = self.shared.state();
            let events = state.events.get(session).into_iter().flatten();
            events.skip(after).any(&is_it)
        };
        while !has_come() {
            // The sender lives as long as this wire.
            let _ = arrived.changed().await;
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn expect(&self, answer: oneshot::Sender<Value>) -> u64 {
        let mut state = self.state();
        state.last_id += 1;
        let id = state.last_id;
        state.waiting.insert(id, answer);
        id
    }

    fn take(&self, message: Value) {
        let mut state = self.state();
        if let Some(id) = message["id"].as_u64() {
            if let Some(waiting) = state.waiting.remove(&id) {
                // A caller that no longer waits is told nothing.
                let _ = waiting.send(message);
            }
        } else {
            let session = message["sessionId"].as_str().unwrap_or_default().to_owned();
            state.events.entry(session).or_default().push(message);
        }
        drop(state);
        self.arrived.send_modify(|arrived| *arrived += 1);
    }
}
