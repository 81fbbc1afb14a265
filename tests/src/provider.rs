//! 演示上游：兼容 OpenAI 与 Anthropic 的小服务器，可逐请求操纵。
//!
//! Owns a server on a loopback port, in-process ([`Provider::start`]) or behind
//! the `demo-provider` binary. It answers `POST` to `/chat/completions`,
//! `/completions`, `/embeddings`, `/responses` and `/messages`, and
//! `GET /models`, with or without a `/v1` prefix, as OpenAI and Anthropic do; what it does
//! wrong is asked for by the request's JSON field `sluice_demo` (see
//! [`Behaviour`]) or by defaults. Every request stands in the [`Ledger`].
//!
//! Token counts are predictable: prompt tokens are the UTF-8 bytes of all
//! text that is asked divided by [`PROMPT_BYTES_PER_TOKEN`], rounded up; completion
//! tokens are the words of the answer, one chunk each, times `n`, bounded by
//! `max_completion_tokens`, `max_tokens` or `max_output_tokens`.
//!
//! What an HTTP server cannot be made to do wrong, a [`Rough`] provider does by scripts of bytes.
//!
//! Invariant: no randomness and no clock in what it answers; a step that a test
//! controls waits for its [`Gate`], never for a time.

mod answer;
mod behaviour;
mod gate;
mod gzip;
mod ledger;
mod limit;
mod play;
mod reply;
mod rough;
mod server;
mod shape;

pub use answer::{PROMPT_BYTES_PER_TOKEN, completion_text, prompt_tokens};
pub use behaviour::Behaviour;
pub use gate::Gate;
pub use ledger::{Entry, Ledger, Outcome, largest_window, windows};
pub use limit::Limit;
pub use rough::{Act, Rough, Tally};
pub use server::{Options, Provider, WINDOW};
