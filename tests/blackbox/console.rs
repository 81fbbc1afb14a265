//! 控制台：真浏览器里，像管理员那样使用。
//!
//! Owns the tests of the console, a file for each area, and the small language in which they are written
//! (`desk`): somebody sits at a browser before a gateway, signs in, and finds controls by role and name. Each
//! test has a page of its own, so nothing of one (session, language, colours) is seen by another.

mod audit;
mod desk;
mod keyboard;
mod keys;
mod load;
mod logs;
mod overview;
mod playground;
mod servers;
mod shell;
mod traffic;
mod usage;

use libtest_mimic::Trial;

/// Those that start a browser; all of them do.
pub(crate) fn browser_trials() -> Vec<Trial> {
    [
        shell::trials(),
        overview::trials(),
        servers::trials(),
        keys::trials(),
        keyboard::trials(),
        playground::trials(),
        audit::trials(),
        load::trials(),
        usage::trials(),
        logs::trials(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
