//! 客户端：发出请求，记下自己看到的结局。
//!
//! The clients of a run: each makes one request after the other and notes what it was told, or that it left, or
//! that the connection broke. They expect nothing; that is for the judge.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway_tests::harness::within;

use super::kinds::Kind;
use super::{Life, Run};

/// Far beyond anything that a request waits for here; whoever reaches it has found a request that hangs.
const BOUND: Duration = Duration::from_mins(3);

/// What a client saw of its request's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Saw {
    /// An answer to its end; the code is empty where it was no error of the gateway.
    Answer { status: u16, code: String },
    /// It went away itself, after some of an answer.
    OwnLeaving,
    /// The connection broke.
    Break,
}

/// A request that is over for its client.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) number: usize,
    pub(super) kind: Kind,
    pub(super) saw: Saw,
    /// In which life of the process it was made.
    pub(super) life: usize,
    pub(super) ended: Instant,
}

/// Makes requests until all were made.
pub(super) async fn work(run: Arc<Run>) -> Vec<Told> {
    let mut told = Vec::new();
    while let Some((number, life)) = run.next().await {
        let kind = Kind::of(number + run.offset);
        let request = request(kind, number, &life);
        let saw = within(BOUND, "the end of a request", request).await;
        told.push(Told {
            number,
            kind,
            saw,
            life: life.number,
            ended: Instant::now(),
        });
    }
    told
}

async fn request(kind: Kind, number: usize, life: &Life) -> Saw {
    let chat = kind.chat(&life.chat, number).bound(BOUND);
    if !kind.leaves() {
        return match chat.send_if_it_lives().await {
            Some(answer) => Saw::Answer {
                status: answer.status,
                code: answer.code_if_error(),
            },
            None => Saw::Break,
        };
    }
    let Ok(mut connection) = chat.connect(life.address).await else {
        return Saw::Break;
    };
    match connection.head().await {
        Ok(Some(head)) if head.status == 200 => {}
        Ok(Some(head)) => {
            return Saw::Answer {
                status: head.status,
                code: String::new(),
            };
        }
        _ => return Saw::Break,
    }
    // The first word of the answer, or of the queue: it is certain where the request is.
    match connection.chunk().await {
        Ok(Some(_)) => {
            connection.reset();
            Saw::OwnLeaving
        }
        Ok(None) => Saw::Answer {
            status: 200,
            code: String::new(),
        },
        Err(_) => Saw::Break,
    }
}
