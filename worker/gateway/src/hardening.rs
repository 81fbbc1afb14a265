//! 网关自己的应答带什么安全头。
//!
//! Owns the security headers of every answer that the gateway itself makes: the admin API, errors, health. An
//! answer that a server sent keeps the headers that it came with. Pages and files are served without the
//! Worker; theirs are in `console/public/_headers`.
//!
//! Invariant: an answer is data. Opened in a browser, whatever it says, it runs nothing and is framed nowhere.

/// Headers of every own answer. `nosniff`: JSON that quotes a text of a client must not be taken for a page.
/// The policy says the same to a browser that opens it all the same. A secret may be in it, so nobody on the
/// way may keep it, and no other site may embed it.
pub const HEADERS: &[(&str, &str)] = &[
    ("cache-control", "no-store"),
    (
        "content-security-policy",
        "default-src 'none'; frame-ancestors 'none'",
    ),
    ("cross-origin-resource-policy", "same-origin"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
];

/// Tells browsers to come back over https only. For answers of the control plane that were asked for over
/// https: sent over plain http it means nothing and is forbidden (RFC 6797, 7.2).
pub const STRICT_TRANSPORT_SECURITY: (&str, &str) =
    ("strict-transport-security", "max-age=31536000");

/// Whether an answer to this URL may carry [`STRICT_TRANSPORT_SECURITY`].
#[must_use]
pub fn came_over_https(url: &str) -> bool {
    url.get(..8)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_own_answer_is_never_sniffed_framed_run_or_kept() {
        let value = |wanted| {
            let found = HEADERS.iter().find(|(name, _)| *name == wanted);
            found.map(|(_, value)| *value)
        };
        assert_eq!(value("x-content-type-options"), Some("nosniff"));
        assert_eq!(value("cache-control"), Some("no-store"));
        let policy = value("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'"));
        assert!(policy.contains("frame-ancestors 'none'"));
    }

    #[test]
    fn https_is_the_scheme_and_nothing_else() {
        assert!(came_over_https("https://gateway.example/api"));
        assert!(came_over_https("HTTPS://gateway.example/"));
        for url in [
            "http://https://x",
            "http://a/",
            "httpsx://a/",
            "",
            "https:",
            "\u{e9}ttps://a",
        ] {
            assert!(!came_over_https(url), "{url}");
        }
    }
}
