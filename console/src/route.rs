//! 页面的地址：路径与页面一一对应。
//!
//! Owns which page a path names and which path a page has. The query of a URL is the business of `query`.
//! Invariant: the path of a page leads back to that page.

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// What a segment of a path must not contain as it is.
const SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'\\');

/// A page of the console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// What happens now, and what happened.
    Overview,
    /// The list of servers.
    Servers,
    /// The list, with the form of a new server beside it.
    ServerNew,
    /// The list, with one server beside it.
    Server(String),
    /// Gateway keys.
    Keys,
    /// Statistics.
    Usage,
    /// The log.
    Logs,
    /// The log, with one request beside it.
    Log(String),
    /// Sends a request.
    Playground,
    /// Who changed what.
    Audit,
    /// No page has this path.
    Unknown,
}

impl Route {
    /// The page of a path, which begins with a slash.
    #[must_use]
    pub fn parse(path: &str) -> Self {
        let mut segments = path.split('/').filter(|segment| !segment.is_empty());
        let (first, second, rest) = (segments.next(), segments.next(), segments.next());
        match (first, second, rest) {
            (None, ..) => Self::Overview,
            (Some("servers"), None, _) => Self::Servers,
            (Some("servers"), Some("new"), None) => Self::ServerNew,
            (Some("servers"), Some(id), None) => Self::Server(decoded(id)),
            (Some("keys"), None, _) => Self::Keys,
            (Some("usage"), None, _) => Self::Usage,
            (Some("logs"), None, _) => Self::Logs,
            (Some("logs"), Some(id), None) => Self::Log(decoded(id)),
            (Some("playground"), None, _) => Self::Playground,
            (Some("audit"), None, _) => Self::Audit,
            _ => Self::Unknown,
        }
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> String {
        match self {
            Self::Overview => "/".to_owned(),
            Self::Servers => "/servers".to_owned(),
            Self::ServerNew => "/servers/new".to_owned(),
            Self::Server(id) => format!("/servers/{}", encoded(id)),
            Self::Keys => "/keys".to_owned(),
            Self::Usage => "/usage".to_owned(),
            Self::Logs => "/logs".to_owned(),
            Self::Log(id) => format!("/logs/{}", encoded(id)),
            Self::Playground => "/playground".to_owned(),
            Self::Audit => "/audit".to_owned(),
            Self::Unknown => "/404".to_owned(),
        }
    }

    /// The page that stays when only something beside it opens or closes: a panel is no other page.
    #[must_use]
    pub fn page(&self) -> Page {
        match self {
            Self::Overview => Page::Overview,
            Self::Servers | Self::ServerNew | Self::Server(_) => Page::Servers,
            Self::Keys => Page::Keys,
            Self::Usage => Page::Usage,
            Self::Logs | Self::Log(_) => Page::Logs,
            Self::Playground => Page::Playground,
            Self::Audit => Page::Audit,
            Self::Unknown => Page::Unknown,
        }
    }
}

/// An entry of the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the routes")]
pub enum Page {
    Overview,
    Servers,
    Keys,
    Usage,
    Logs,
    Playground,
    Audit,
    Unknown,
}

fn decoded(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

fn encoded(segment: &str) -> String {
    utf8_percent_encode(segment, SEGMENT).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_page_leads_back_to_it() {
        let routes = [
            Route::Overview,
            Route::Servers,
            Route::ServerNew,
            Route::Server("srv_1".to_owned()),
            Route::Keys,
            Route::Usage,
            Route::Logs,
            Route::Log("a b/c?d#e%f\\g\"甲".to_owned()),
            Route::Playground,
            Route::Audit,
            Route::Unknown,
        ];
        for route in routes {
            assert_eq!(Route::parse(&route.path()), route);
        }
    }

    #[test]
    fn a_path_of_no_page_is_unknown_and_a_slash_at_the_end_does_not_matter() {
        for path in [
            "/nothing",
            "/servers/a/b",
            "/keys/k",
            "/usage/x",
            "/audit/1",
        ] {
            assert_eq!(Route::parse(path), Route::Unknown, "{path}");
        }
        assert_eq!(Route::parse("/servers/"), Route::Servers);
    }

    #[test]
    fn a_panel_stays_on_its_page() {
        assert_eq!(Route::ServerNew.page(), Route::Servers.page());
        assert_eq!(Route::Log("x".to_owned()).page(), Route::Logs.page());
    }
}
