//! 监听、路由、逐步演出每个应答。
//!
//! Owns the listener and its connections; all end when the [`Provider`] is
//! dropped. A request goes: recorded, body read, own limit, behaviour, answer.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::answer::{self, Answer, Request as AnswerRequest};
use super::behaviour::Behaviour;
use super::gate::{Gate, Gates};
use super::gzip::gzip;
use super::ledger::{Ledger, Recording};
use super::limit::{Count, Limit};
use super::play::play;
use super::reply::{Piece, Reply};
use super::shape::Endpoint;

/// Window of the ledger's figures.
pub const WINDOW: Duration = Duration::from_mins(1);

/// A test's largest body is a little above the gateway's bound of 10 MiB.
const BODY_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Room for a thousand clients that connect in the same instant.
const BACKLOG: u32 = 2048;

/// How a provider starts.
#[derive(Clone, Debug)]
pub struct Options {
    /// Port on 127.0.0.1, 0 for a free one.
    pub port: u16,
    /// Models that it lists (it answers for any model).
    pub models: Vec<String>,
    /// Its own limit of requests.
    pub limit: Option<Limit>,
    /// Defaults of every answer.
    pub behaviour: Behaviour,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            models: vec!["demo-small".to_owned(), "demo-large".to_owned()],
            limit: None,
            behaviour: Behaviour::default(),
        }
    }
}

#[derive(Debug)]
struct State {
    models: Vec<String>,
    limit: Option<Mutex<Count>>,
    behaviour: Mutex<Behaviour>,
    /// How often a body was seen that asks for it to be counted.
    seen: Mutex<HashMap<Bytes, u64>>,
    numbers: AtomicU64,
    gates: Gates,
    ledger: Ledger,
}

/// A running provider; it stops when dropped.
#[derive(Debug)]
pub struct Provider {
    address: SocketAddr,
    state: Arc<State>,
    /// Dropping it tells the listener and every connection to end.
    _stop: watch::Sender<()>,
}

impl Provider {
    /// Starts one on a free port with the defaults; within a tokio runtime.
    pub fn start() -> Self {
        Self::start_with(Options::default()).expect("a loopback port is free")
    }

    /// Starts one within a tokio runtime; fails if the port is taken.
    pub fn start_with(options: Options) -> io::Result<Self> {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, options.port)))?;
        let listener = socket.listen(BACKLOG)?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            models: options.models,
            limit: options.limit.map(|limit| Mutex::new(Count::new(limit))),
            behaviour: Mutex::new(options.behaviour),
            seen: Mutex::default(),
            numbers: AtomicU64::new(0),
            gates: Gates::default(),
            ledger: Ledger::new(),
        });
        let (stop, stopped) = watch::channel(());
        tokio::spawn(listen(listener, Arc::clone(&state), stopped));
        Ok(Self {
            address,
            state,
            _stop: stop,
        })
    }

    /// `http://127.0.0.1:PORT`, no path.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What reached it.
    pub fn ledger(&self) -> &Ledger {
        &self.state.ledger
    }

    /// The gate that requests name in `header_gate` or `chunk_gate`.
    pub fn gate(&self, name: &str) -> Gate {
        self.state.gates.named(name)
    }

    /// Replaces the defaults for requests from now on.
    pub fn set_behaviour(&self, behaviour: Behaviour) {
        *self
            .state
            .behaviour
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = behaviour;
    }
}

async fn listen(listener: TcpListener, state: Arc<State>, mut stopped: watch::Receiver<()>) {
    loop {
        tokio::select! {
            _ = stopped.changed() => return,
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                tokio::spawn(connection(stream, Arc::clone(&state), stopped.clone()));
            }
        }
    }
}

async fn connection(stream: TcpStream, state: Arc<State>, mut stopped: watch::Receiver<()>) {
    // Small chunks must leave at once; a test measures the gateway, not Nagle.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| serve(Arc::clone(&state), request));
    // No header timeout: it would close idle kept-alive connections under a client's hands.
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        _ = stopped.changed() => {}
        // An error here is a client that left or a cut: both stand in the ledger.
        _ = served => {}
    }
}

type Answered = Result<Response<Reply>, io::Error>;

async fn serve(state: Arc<State>, request: Request<Incoming>) -> Answered {
    let (parts, body) = request.into_parts();
    let target = parts.uri.path().to_owned();
    let headers = parts
        .headers
        .iter()
        .map(|(name, value)| {
            (
                name.to_string(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect();
    let ledger = if target.starts_with("/__demo/") {
        Ledger::new()
    } else {
        state.ledger.clone()
    };
    let full_path = parts
        .uri
        .path_and_query()
        .map_or_else(|| target.clone(), ToString::to_string);
    let recording = ledger.record(parts.method.to_string(), full_path, headers);
    let body = match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return Err(io::Error::other(error)),
    };
    recording.body(body.clone());
    let path = target.strip_prefix("/v1").unwrap_or(&target);
    if let (&Method::POST, Some(endpoint)) = (&parts.method, Endpoint::at(path)) {
        let mut credentials = ["authorization", "x-api-key"].into_iter();
        let credential = credentials.find_map(|name| parts.headers.get(name)?.to_str().ok());
        return infer(&state, endpoint, &body, credential, recording).await;
    }
    match (&parts.method, path) {
        (&Method::GET, "/models") => Ok(whole(
            200,
            &answer::models(&state.models).to_string(),
            recording,
            0,
        )),
        (method, path) if path.starts_with("/__demo/") => {
            let (status, body) = control(
                &state,
                method,
                path,
                parts.uri.query().unwrap_or_default(),
                &body,
            );
            Ok(whole(status, &body, recording, 0))
        }
        _ => Ok(whole(
            404,
            &answer::error("no such endpoint here", "invalid_request_error"),
            recording,
            0,
        )),
    }
}

fn control(state: &State, method: &Method, path: &str, query: &str, body: &[u8]) -> (u16, String) {
    match (method, path.trim_start_matches("/__demo/")) {
        (&Method::GET, "ledger") => (200, state.ledger.to_json(WINDOW).to_string()),
        (&Method::DELETE, "ledger") => {
            state.ledger.reset();
            (200, "{}".to_owned())
        }
        (&Method::PUT, "behaviour") => match serde_json::from_slice(body) {
            Ok(behaviour) => {
                *state
                    .behaviour
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner) = behaviour;
                (200, "{}".to_owned())
            }
            Err(error) => (
                400,
                answer::error(&error.to_string(), "invalid_request_error"),
            ),
        },
        (&Method::POST, rest) if rest.starts_with("gates/") => {
            let gate = state.gates.named(rest.trim_start_matches("gates/"));
            match query.trim_start_matches("open=") {
                "all" => gate.open_for_good(),
                count => gate.open(count.parse().unwrap_or(1)),
            }
            (200, "{}".to_owned())
        }
        _ => (
            404,
            answer::error("no such control", "invalid_request_error"),
        ),
    }
}

async fn infer(
    state: &Arc<State>,
    endpoint: Endpoint,
    body: &Bytes,
    credential: Option<&str>,
    recording: Recording,
) -> Answered {
    if let Some(wait) = over_own_limit(state) {
        let message = answer::error("Rate limit reached for requests", "rate_limit_error");
        let mut response = whole(429, &message, recording, 0);
        let ms = wait.as_micros().div_ceil(1000) as u64;
        let headers = response.headers_mut();
        headers.insert(RETRY_AFTER, HeaderValue::from(ms.div_ceil(1000)));
        headers.insert("retry-after-ms", HeaderValue::from(ms));
        return Ok(response);
    }
    let request = match serde_json::from_slice::<AnswerRequest>(body) {
        Ok(request) if request.is_within_bounds() => request,
        Ok(_) => return Ok(refused("n or best_of is out of bounds", recording)),
        Err(error) => return Ok(refused(&error.to_string(), recording)),
    };
    let wishes = request.sluice_demo.clone().unwrap_or_default();
    let behaviour = behaviour_for(state, body, wishes);
    before_headers(state, &behaviour).await?;
    let number = state.numbers.fetch_add(1, Ordering::Relaxed);
    let answer = Answer::new(endpoint, &request, &behaviour, credential, number);
    let status = behaviour.status.unwrap_or(200);
    let mut response = if status != 200 || behaviour.body.is_some() {
        let body = behaviour
            .body
            .clone()
            .unwrap_or_else(|| refusal(status, &behaviour, credential));
        whole(status, &body, recording, 0)
    } else if request.stream == Some(true) && endpoint != Endpoint::Embeddings {
        stream(
            state,
            behaviour.clone(),
            &answer,
            request.includes_usage(),
            recording,
        )
    } else {
        plain(&behaviour, &answer, recording)
    };
    more_headers(&mut response, &behaviour);
    Ok(response)
}

/// The wishes in place of the defaults, as far as they still hold for this body.
fn behaviour_for(state: &State, body: &Bytes, wishes: Behaviour) -> Behaviour {
    let defaults = state
        .behaviour
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let Some(times) = wishes.only_first else {
        return defaults.overridden_by(wishes);
    };
    let mut seen = state.seen.lock().unwrap_or_else(PoisonError::into_inner);
    let count = seen.entry(body.clone()).or_insert(0);
    *count += 1;
    if *count > times {
        return defaults;
    }
    defaults.overridden_by(wishes)
}

/// Counts the request against the provider's own limit, or says how long it is full.
fn over_own_limit(state: &State) -> Option<Duration> {
    let count = state.limit.as_ref()?;
    let mut count = count.lock().unwrap_or_else(PoisonError::into_inner);
    count.admit(Instant::now()).err()
}

async fn before_headers(state: &State, behaviour: &Behaviour) -> io::Result<()> {
    if behaviour.drop_connection == Some(true) {
        return Err(io::Error::other("dropped as asked"));
    }
    if behaviour.hang == Some(true) {
        std::future::pending::<Infallible>().await;
    }
    if let Some(gate) = &behaviour.header_gate {
        state.gates.named(gate).pass().await;
    }
    if let Some(delay) = behaviour.header_delay_ms {
        tokio::time::sleep(Duration::from_millis(delay)).await;
    }
    Ok(())
}

fn refusal(status: u16, behaviour: &Behaviour, credential: Option<&str>) -> String {
    let mut message = format!("the demo provider answers {status} as asked");
    if let (Some(true), Some(credential)) = (behaviour.quote_authorization, credential) {
        message = format!("{message}; you sent {credential}");
    }
    answer::error(&message, "demo_error")
}

fn refused(message: &str, recording: Recording) -> Response<Reply> {
    whole(
        400,
        &answer::error(message, "invalid_request_error"),
        recording,
        0,
    )
}

fn more_headers(response: &mut Response<Reply>, behaviour: &Behaviour) {
    let headers = response.headers_mut();
    if let Some(value) = behaviour
        .content_type
        .as_deref()
        .and_then(|value| value.parse().ok())
    {
        headers.insert(CONTENT_TYPE, value);
    }
    if let Some(value) = behaviour
        .retry_after
        .as_deref()
        .and_then(|value| value.parse().ok())
    {
        headers.insert(RETRY_AFTER, value);
    }
    for (name, value) in behaviour.headers.iter().flatten() {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
            headers.append(name, value);
        }
    }
}

fn response(status: u16, content_type: &'static str, reply: Reply) -> Response<Reply> {
    let mut response = Response::new(reply);
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn whole(status: u16, body: &str, recording: Recording, tokens: u64) -> Response<Reply> {
    recording.answered(status, tokens);
    let reply = Reply::whole(recording, Bytes::copy_from_slice(body.as_bytes()));
    let mut response = response(status, "application/json", reply);
    response
        .headers_mut()
        .insert("content-length", HeaderValue::from(body.len()));
    response
}

fn plain(behaviour: &Behaviour, answer: &Answer, recording: Recording) -> Response<Reply> {
    let body = answer.plain().to_string();
    if behaviour.cut_after.is_some() {
        return half(&body, recording);
    }
    if behaviour.gzip != Some(true) {
        return whole(200, &body, recording, answer.tokens);
    }
    recording.answered(200, answer.tokens);
    let packed = Bytes::from(gzip(body.as_bytes()));
    let length = packed.len();
    let mut response = response(200, "application/json", Reply::whole(recording, packed));
    response
        .headers_mut()
        .insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response
        .headers_mut()
        .insert(CONTENT_LENGTH, HeaderValue::from(length));
    response
}

/// Half of a body, then the end of the connection.
fn half(body: &str, recording: Recording) -> Response<Reply> {
    recording.answered(200, 0);
    let (writer, reply) = Reply::new(recording);
    let half = Bytes::copy_from_slice(&body.as_bytes()[..body.len() / 2]);
    tokio::spawn(async move {
        // Fails only when the client has left, which the reply records.
        let _ = writer.send(Piece::Data(half)).await;
        let _ = writer.send(Piece::Cut).await;
    });
    response(200, "application/json", reply)
}

fn stream(
    state: &State,
    behaviour: Behaviour,
    answer: &Answer,
    include_usage: bool,
    recording: Recording,
) -> Response<Reply> {
    recording.answered(200, answer.tokens);
    let (writer, reply) = Reply::new(recording);
    let events = answer.events(include_usage);
    let gate = behaviour
        .chunk_gate
        .as_deref()
        .map(|name| state.gates.named(name));
    tokio::spawn(async move {
        // Aborts at any step when the client leaves; the reply then records it.
        tokio::select! {
            () = writer.closed() => {}
            () = play(gate, &behaviour, events, &writer) => {}
        }
    });
    response(200, "text/event-stream; charset=utf-8", reply)
}
