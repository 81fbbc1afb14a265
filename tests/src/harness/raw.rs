//! 裸连接：客户端库不让做的事。
//!
//! Owns an HTTP/1.1 connection over a plain socket: any bytes out, chunk by
//! chunk in, closed by FIN or by RST at the instant the test chooses.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Headers longer than this are no answer of ours.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Status line and headers of an answer.
#[derive(Clone, Debug)]
pub struct Head {
    /// HTTP status.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
}

impl Head {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    fn is_chunked(&self) -> bool {
        self.header("transfer-encoding")
            .is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
    }
}

/// What came back, as far as it came.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Status line and headers.
    pub head: Head,
    /// Body without framing.
    pub body: Vec<u8>,
    /// Whether the framing said that the body is complete.
    pub complete: bool,
}

/// A connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::new(),
        })
    }

    /// Sends exactly these bytes.
    pub async fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Ends the own direction only (a half-closed client).
    pub async fn finish(&mut self) -> std::io::Result<()> {
        self.stream.shutdown().await
    }

    /// Closes with FIN.
    pub fn close(self) {
        drop(self);
    }

    /// Closes with RST, as a client does that crashes or is killed.
    pub fn reset(self) {
        // Linger 0 turns the close into a reset; if it cannot be set the close is an ordinary one.
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        drop(self);
    }

    async fn fill(&mut self) -> std::io::Result<usize> {
        self.stream.read_buf(&mut self.buffer).await
    }

    /// Reads status line and headers; `None` if the connection ended before.
    pub async fn head(&mut self) -> std::io::Result<Option<Head>> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                let text = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                self.buffer.drain(..end + 4);
                return Ok(Some(parse_head(&text)));
            }
            if self.buffer.len() > HEAD_BYTES_MAX || self.fill().await? == 0 {
                return Ok(None);
            }
        }
    }

    /// The next chunk of a chunked body and when it came; `None` at the end marker.
    ///
    /// The connection's end before the marker is an error.
    pub async fn chunk(&mut self) -> std::io::Result<Option<(Vec<u8>, Instant)>> {
        let size_end = self.until(b"\r\n").await?;
        let size_line = String::from_utf8_lossy(&self.buffer[..size_end]).into_owned();
        let digits = size_line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(digits, 16).map_err(|_| invalid("chunk size"))?;
        let whole = size_end + 2 + size + 2;
        while self.buffer.len() < whole {
            self.more().await?;
        }
        let chunk = self.buffer[size_end + 2..size_end + 2 + size].to_vec();
        self.buffer.drain(..whole);
        Ok((size > 0).then(|| (chunk, Instant::now())))
    }

    /// Reads a whole answer as far as it comes; `None` if not even headers came.
    pub async fn reply(&mut self, to_head: bool) -> std::io::Result<Option<Reply>> {
        let Some(head) = self.head().await? else {
            return Ok(None);
        };
        let mut body = Vec::new();
        let length = head
            .header("content-length")
            .and_then(|value| value.parse::<usize>().ok());
        let bodiless = to_head || head.status == 204 || head.status == 304 || head.status < 200;
        let complete = if bodiless {
            true
        } else if head.is_chunked() {
            loop {
                match self.chunk().await {
                    Ok(Some((chunk, _))) => body.extend_from_slice(&chunk),
                    Ok(None) => break true,
                    Err(_) => break false,
                }
            }
        } else if let Some(length) = length {
            while self.buffer.len() < length && self.more().await.is_ok() {}
            let complete = self.buffer.len() >= length;
            body = self.buffer.drain(..length.min(self.buffer.len())).collect();
            complete
        } else {
            while self.more().await.is_ok() {}
            body.append(&mut self.buffer);
            true
        };
        Ok(Some(Reply {
            head,
            body,
            complete,
        }))
    }

    async fn until(&mut self, pattern: &[u8]) -> std::io::Result<usize> {
        loop {
            if let Some(at) = find(&self.buffer, pattern) {
                return Ok(at);
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> std::io::Result<()> {
        match self.fill().await? {
            0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

/// An HTTP/1.1 POST of JSON with these headers, as bytes.
pub fn post(path: &str, host: SocketAddr, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        request.extend([*name, ": ", *value, "\r\n"]);
    }
    request.push_str("\r\n");
    let mut bytes = request.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn parse_head(text: &str) -> Head {
    let mut lines = text.split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    let status = status_line
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0);
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Head { status, headers }
}

fn find(within: &[u8], pattern: &[u8]) -> Option<usize> {
    within
        .windows(pattern.len())
        .position(|window| window == pattern)
}

fn invalid(what: &str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, what)
}
