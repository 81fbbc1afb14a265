//! 逐步写出的响应体，知道对方何时离开。
//!
//! Owns the body that hyper polls: pieces come through a channel from the task
//! that plays the behaviour. Dropped before its end, it records that the client
//! left; asked to cut, it makes hyper close the connection without end marker.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::sync::mpsc;

use super::ledger::{Outcome, Recording};

/// What the playing task hands over.
#[derive(Debug)]
pub(super) enum Piece {
    Data(Bytes),
    Cut,
}

/// Sender of pieces; `closed()` on it means that the client left.
pub(super) type Writer = mpsc::Sender<Piece>;

/// Response body fed by a [`Writer`].
#[derive(Debug)]
pub(super) struct Reply {
    pieces: mpsc::Receiver<Piece>,
    recording: Recording,
    /// Bytes still to come of a body whose length was announced.
    remaining: Option<usize>,
    cutting: bool,
}

impl Reply {
    pub(super) fn new(recording: Recording) -> (Writer, Self) {
        let (writer, pieces) = mpsc::channel(1);
        (
            writer,
            Self {
                pieces,
                recording,
                remaining: None,
                cutting: false,
            },
        )
    }

    /// A body known beforehand; hyper drops it as soon as its length is reached.
    pub(super) fn whole(recording: Recording, body: Bytes) -> Self {
        let (writer, mut reply) = Self::new(recording);
        reply.remaining = Some(body.len());
        // The channel holds one piece, and nothing else was put into it.
        let _ = writer.try_send(Piece::Data(body));
        reply
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.cutting {
            self.recording.end(Outcome::Cut);
            return Poll::Ready(Some(Err(io::Error::other("cut as asked"))));
        }
        match self.pieces.poll_recv(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Piece::Data(data))) => {
                if let Some(remaining) = &mut self.remaining {
                    *remaining = remaining.saturating_sub(data.len());
                    if *remaining == 0 {
                        self.recording.end(Outcome::Completed);
                    }
                }
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Poll::Ready(Some(Piece::Cut)) => {
                // hyper drops what it has not flushed when a body fails; it flushes when a body is pending.
                self.cutting = true;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(None) => {
                self.recording.end(Outcome::Completed);
                Poll::Ready(None)
            }
        }
    }
}
