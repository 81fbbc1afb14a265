//! 打印日志事件。
//!
//! Prints one event of [`gateway::log`] as one line, at its level. What may stand in a line is decided there;
//! the Worker prints through this too, since both run in one isolate.

use gateway::log::{Event, Level};

/// Writes a line that an event made, at the level of what merely happens.
pub fn print_line(line: &str) {
    worker::console_log!("{line}");
}

/// Writes the event's line to the log of the isolate.
pub fn print(event: &Event<'_>) {
    let line = event.line();
    match event.level() {
        Level::Info => worker::console_log!("{line}"),
        Level::Warn => worker::console_warn!("{line}"),
        Level::Error => worker::console_error!("{line}"),
    }
}
