//! 一步步演出一条流。
//!
//! Owns the order and the framing of a stream's events: gates and delays before
//! words, breaks after them, pieces of odd sizes.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;

use super::behaviour::Behaviour;
use super::gate::Gate;
use super::reply::{Piece, Writer};
use super::shape::{Event, Events};

/// Plays the whole stream; the channel's end is the body's end.
pub(super) async fn play(
    gate: Option<Gate>,
    behaviour: &Behaviour,
    events: Events,
    writer: &Writer,
) {
    let Events { begin, words, end } = events;
    for event in begin {
        write_event(behaviour, &event, writer).await;
    }
    let last = words.len();
    for (sent, word) in words.into_iter().enumerate() {
        if at_break(behaviour, sent, writer).await {
            return;
        }
        if let Some(gate) = &gate {
            gate.pass().await;
        }
        if let Some(delay) = behaviour.chunk_delay_ms {
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
        write_event(behaviour, &word, writer).await;
    }
    if at_break(behaviour, last, writer).await {
        return;
    }
    for event in end {
        write_event(behaviour, &event, writer).await;
    }
}

/// Whether the stream was to break after that many words; the break has then happened.
async fn at_break(behaviour: &Behaviour, sent: usize, writer: &Writer) -> bool {
    if behaviour.stall_after == Some(sent) {
        std::future::pending::<Infallible>().await;
    }
    if behaviour.cut_after == Some(sent) {
        let _ = writer.send(Piece::Cut).await;
        return true;
    }
    behaviour.end_after == Some(sent)
}

async fn write_event(behaviour: &Behaviour, event: &Event, writer: &Writer) {
    let line_end = if behaviour.crlf == Some(true) {
        "\r\n"
    } else {
        "\n"
    };
    let name = event.name.map(|name| format!("event: {name}{line_end}"));
    let name = name.unwrap_or_default();
    let data = &event.data;
    let event = Bytes::from(format!("{name}data: {data}{line_end}{line_end}"));
    let piece_bytes = behaviour.split_bytes.unwrap_or(event.len()).max(1);
    let mut from = 0;
    while from < event.len() {
        let to = event.len().min(from + piece_bytes);
        let _ = writer.send(Piece::Data(event.slice(from..to))).await;
        from = to;
        if behaviour.split_bytes.is_some() {
            tokio::task::yield_now().await;
        }
    }
}
