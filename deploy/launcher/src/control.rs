//! 向网关发最小的 HTTP 请求：是否存活、存储是否可用、触发定时任务。
//!
//! Owns the launcher's own requests: `GET` without a body, over TCP or the control socket, one per connection. Every
//! wait has a bound and an answer is read up to 64 KiB; nothing of a client passes through here.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::settings::reachable;

const ANSWER_MAX: u64 = 64 * 1024;
const ALIVE_MAX: Duration = Duration::from_secs(4);

/// Status and body of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// Whether `GET /health` answers 200.
pub(crate) fn is_alive(address: &SocketAddr) -> Result<(), String> {
    match over_tcp(address, "/health", ALIVE_MAX) {
        Ok(Answer { status: 200, .. }) => Ok(()),
        Ok(Answer { status, .. }) => Err(format!("{address} answers {status}")),
        Err(error) => Err(format!("{address} does not answer: {error}")),
    }
}

/// Asks over TCP; an address that means every interface is asked on this machine.
pub(crate) fn over_tcp(
    address: &SocketAddr,
    path: &str,
    patience: Duration,
) -> std::io::Result<Answer> {
    let stream = TcpStream::connect_timeout(&reachable(*address), patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    ask(stream, path)
}

/// Asks over a Unix socket.
pub(crate) fn over_socket(
    socket: &Path,
    path: &str,
    patience: Duration,
) -> std::io::Result<Answer> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    ask(stream, path)
}

/// Tells the gateway that it is about to be stopped. The answer, which is still open, lasts until nothing is left
/// to be told: workerd waits for it. None if nobody hears.
pub(crate) fn announce_stop(socket: &Path, patience: Duration) -> Option<UnixStream> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(patience)).ok()?;
    stream.set_write_timeout(Some(patience)).ok()?;
    write!(stream, "GET /stop HTTP/1.1\r\nhost: sluice\r\n\r\n").ok()?;
    stream.read_exact(&mut [0]).ok()?;
    Some(stream)
}

fn ask(mut stream: impl Read + Write, path: &str) -> std::io::Result<Answer> {
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: sluice\r\nconnection: close\r\n\r\n"
    )?;
    let mut bytes = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut bytes)?;
    parse(&String::from_utf8_lossy(&bytes))
        .ok_or_else(|| std::io::Error::other("the answer is no HTTP"))
}

fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.split_whitespace().next()?;
    Some(Answer {
        status: status.parse().ok()?,
        body: body.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// A server that answers one request with these bytes.
    fn server(answer: &'static str) -> (SocketAddr, thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let served = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // All of it: closing a connection with bytes unread resets it, and the answer may be lost.
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut piece = [0; 512];
                let length = stream.read(&mut piece).unwrap();
                assert!(length > 0, "the request ends early");
                request.extend_from_slice(&piece[..length]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&request).into_owned()
        });
        (address, served)
    }

    #[test]
    fn a_gateway_that_answers_200_is_alive() {
        let (address, served) = server("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
        assert_eq!(is_alive(&address), Ok(()));
        assert!(
            served
                .join()
                .unwrap()
                .starts_with("GET /health HTTP/1.1\r\n")
        );
    }

    #[test]
    fn one_that_answers_otherwise_or_not_at_all_is_not_and_the_reason_is_told() {
        let (address, _) = server("HTTP/1.1 503 Service Unavailable\r\n\r\n");
        assert!(is_alive(&address).unwrap_err().contains("answers 503"));
        let (address, _) = server("SSH-2.0-other\r\n\r\n");
        assert!(is_alive(&address).unwrap_err().contains("no HTTP"));
        let free = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        assert!(is_alive(&free).unwrap_err().contains("does not answer"));
    }

    #[test]
    fn a_stop_is_announced_where_somebody_hears_it() {
        let path = std::env::temp_dir().join(format!("sluice-stop-{}", std::process::id()));
        let second = Duration::from_secs(1);
        assert!(announce_stop(&path, second).is_none(), "nobody is there");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let served = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut line = [0; 18];
            stream.read_exact(&mut line).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\n").unwrap();
            line
        });
        assert!(announce_stop(&path, second).is_some());
        assert_eq!(&served.join().unwrap(), b"GET /stop HTTP/1.1");
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn status_and_body_are_told_apart() {
        let answer = parse("HTTP/1.1 500 Internal\r\na: b\r\n\r\n{\"error\":\"x\"}").unwrap();
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (500, "{\"error\":\"x\"}")
        );
        assert_eq!(parse("HTTP/1.1 200 OK\r\n"), None);
    }
}
