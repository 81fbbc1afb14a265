//! workerd 的输出：JSON 行原样通过，其余包成 JSON。
//!
//! Owns the form of the lines on standard output: besides the ready line each one is a JSON object. Keeps the last
//! lines of workerd's standard error, which are the reason where it dies. Lines are never dropped.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};

use serde_json::{Value, json};

/// Lines of a reason that are worth showing.
const COMPLAINTS_LEN_MAX: usize = 5;

/// How workerd marks what is no error.
const WARNING: &str = ": warning: ";

/// One line as it leaves.
pub(crate) fn wrapped(line: &str, level: &str) -> String {
    let level = if line.contains(WARNING) {
        "warn"
    } else {
        level
    };
    match serde_json::from_str(line) {
        Ok(Value::Object(_)) => line.to_owned(),
        _ => json!({ "level": level, "source": "workerd", "message": line }).to_string(),
    }
}

/// The port of workerd's own message that a socket listens.
pub(crate) fn listening_port(line: &str, socket: &str) -> Option<u16> {
    let message: Value = serde_json::from_str(line).ok()?;
    if message.get("event")? != "listen" || message.get("socket")? != socket {
        return None;
    }
    u16::try_from(message.get("port")?.as_u64()?).ok()
}

/// Hands each line on, wrapped, until the stream ends; first to `observe`, which may keep it for itself.
pub(crate) fn forward(stream: impl Read, level: &str, mut observe: impl FnMut(&str) -> bool) {
    for line in BufReader::new(stream).split(b'\n') {
        let Ok(bytes) = line else { return };
        let text = String::from_utf8_lossy(&bytes);
        let line = text.trim_end_matches('\r');
        if !observe(line) {
            // Nobody reads any more: the gateway goes on.
            let _ = writeln!(std::io::stdout(), "{}", wrapped(line, level));
        }
    }
}

/// The last lines of an error.
#[derive(Default)]
pub(crate) struct Complaints(VecDeque<String>);

impl Complaints {
    pub(crate) fn push(&mut self, line: &str) {
        if self.0.len() == COMPLAINTS_LEN_MAX {
            self.0.pop_front();
        }
        self.0.push_back(line.to_owned());
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for line in &self.0 {
            text.push_str("\n  ");
            text.push_str(line);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_pass_and_everything_else_becomes_one() {
        assert_eq!(
            wrapped(r#"{"event":"request"}"#, "info"),
            r#"{"event":"request"}"#
        );
        for line in ["oh", "[1]", "{not json}", "\"text\"", ""] {
            let value: Value = serde_json::from_str(&wrapped(line, "error")).unwrap();
            assert_eq!(value["message"], line);
            assert_eq!(
                (&value["level"], &value["source"]),
                (&json!("error"), &json!("workerd"))
            );
        }
    }

    #[test]
    fn a_warning_of_workerd_is_no_error() {
        let line = "workerd/server/server/worker.rs:468: warning: A class is missing";
        let value: Value = serde_json::from_str(&wrapped(line, "error")).unwrap();
        assert_eq!(value["level"], "warn");
    }

    #[test]
    fn only_the_message_of_the_right_socket_tells_the_port() {
        let line = r#"{"event":"listen","socket":"http","port":4711}"#;
        assert_eq!(listening_port(line, "http"), Some(4711));
        assert_eq!(listening_port(line, "control"), None);
        assert_eq!(
            listening_port(r#"{"event":"request","port":1}"#, "http"),
            None
        );
        assert_eq!(listening_port("listening", "http"), None);
    }

    #[test]
    fn the_newest_complaints_are_kept() {
        let mut complaints = Complaints::default();
        (0..9).for_each(|number| complaints.push(&number.to_string()));
        assert_eq!(complaints.text(), "\n  4\n  5\n  6\n  7\n  8");
    }
}
