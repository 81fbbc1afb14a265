//! 上游地址的规则：绝对 https，无凭据、查询与片段。
//!
//! Owns which base URLs a server may have (PRODUCT.md section 3). It parses with the same WHATWG
//! rules as the `fetch` that will use the URL, so that the two cannot disagree about the host.
//! Which hosts are private is the business of `private_host`.

use core::fmt;

use url::{Host, Url};

use super::Rules;
use super::bounds::BASE_URL_CHARS_MAX;
use super::private_host::{is_loopback, is_private};

/// Why a base URL is refused; completes the sentence "`base_url` …".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    Length,
    NotAbsolute,
    Characters,
    Host,
    Credentials,
    Query,
    Fragment,
    PlainHttp,
    Private,
    Itself,
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => write!(formatter, "must have 1 to {BASE_URL_CHARS_MAX} characters"),
            Self::NotAbsolute => formatter
                .write_str("must be an absolute https URL such as \"https://api.example.com/v1\""),
            Self::Characters => formatter
                .write_str("must not contain white space, control characters or backslashes"),
            Self::Host => formatter
                .write_str("must have a host of letters, digits, hyphens, underscores and dots"),
            Self::Credentials => formatter.write_str(
                "must not contain a user name or password: the key belongs in `api_key`",
            ),
            Self::Query => formatter.write_str("must not contain a query"),
            Self::Fragment => formatter.write_str("must not contain a fragment"),
            Self::PlainHttp => formatter.write_str(
                "must use https: http is allowed to this machine, or with ALLOW_HTTP_UPSTREAM",
            ),
            Self::Private => formatter.write_str(
                "must not lead into a private network: that is allowed with ALLOW_PRIVATE_UPSTREAM only",
            ),
            Self::Itself => formatter.write_str("must not be the address of this gateway"),
        }
    }
}

/// The URL as it will be stored: as it was written, without slashes at its end.
pub(crate) fn check(text: &str, rules: Rules<'_>) -> Result<String, Refused> {
    if !(1..=BASE_URL_CHARS_MAX).contains(&text.chars().count()) {
        return Err(Refused::Length);
    }
    // The parser would drop or convert these in silence, and the stored text would say something else.
    if text
        .chars()
        .any(|c| c.is_control() || c.is_whitespace() || c == '\\')
    {
        return Err(Refused::Characters);
    }
    let url = Url::parse(text).map_err(|_| Refused::NotAbsolute)?;
    if !has_plain_host(&url) {
        return Err(Refused::Host);
    }
    // The parser takes `https:/host` for the same as `https://host`; another `://` may follow in the path.
    let (scheme, after_scheme) = text.split_once("://").ok_or(Refused::NotAbsolute)?;
    if after_scheme.starts_with('/') || !scheme.eq_ignore_ascii_case(url.scheme()) {
        return Err(Refused::NotAbsolute);
    }
    let authority = after_scheme
        .split(['/', '?', '#'])
        .next()
        .unwrap_or_default();
    if authority.contains('@') || !url.username().is_empty() || url.password().is_some() {
        return Err(Refused::Credentials);
    }
    if url.query().is_some() {
        return Err(Refused::Query);
    }
    if url.fragment().is_some() {
        return Err(Refused::Fragment);
    }
    let host = url.host().ok_or(Refused::NotAbsolute)?;
    match url.scheme() {
        "https" => {}
        "http" if rules.allow_http_upstream || is_loopback(&host) => {}
        "http" => return Err(Refused::PlainHttp),
        _ => return Err(Refused::NotAbsolute),
    }
    if is_private(&host) && !rules.allow_private_upstream {
        return Err(Refused::Private);
    }
    if rules.own_url.is_some_and(|own| leads_to(&url, own)) {
        return Err(Refused::Itself);
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// Whether both URLs name one host and port. The two default ports are one: the edge answers on both.
fn leads_to(url: &Url, own: &str) -> bool {
    let place = |url: &Url| {
        let host = url.host_str()?.trim_end_matches('.').to_owned();
        let port = url.port_or_known_default()?;
        Some((host, if port == 80 { 443 } else { port }))
    };
    Url::parse(own).is_ok_and(|own| place(url).is_some() && place(url) == place(&own))
}

/// The standard lets a name have characters that no name on any network has, such as `*` and `;`. Names in
/// other scripts are ASCII here already.
fn has_plain_host(url: &Url) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    match url.host() {
        Some(Host::Domain(name)) => name.bytes().all(is_plain),
        Some(Host::Ipv4(_) | Host::Ipv6(_)) | None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRICT: Rules = Rules {
        allow_http_upstream: false,
        allow_private_upstream: false,
        own_url: None,
    };
    const HTTP: Rules = Rules {
        allow_http_upstream: true,
        ..STRICT
    };
    const PRIVATE: Rules = Rules {
        allow_private_upstream: true,
        ..STRICT
    };
    const BOTH: Rules = Rules {
        allow_private_upstream: true,
        ..HTTP
    };

    #[test]
    fn https_urls_are_stored_as_written_without_slashes_at_their_end() {
        for (text, stored) in [
            ("https://api.openai.com/v1", "https://api.openai.com/v1"),
            ("https://api.example.com/v1//", "https://api.example.com/v1"),
            (
                "HTTPS://Example.com:8443/a%20b",
                "HTTPS://Example.com:8443/a%20b",
            ),
            ("https://例え.jp/v1", "https://例え.jp/v1"),
            ("https://[2001:db8::1]/v1", "https://[2001:db8::1]/v1"),
        ] {
            assert_eq!(check(text, STRICT).as_deref(), Ok(stored));
        }
    }

    #[test]
    fn http_is_for_this_machine_only_unless_allowed() {
        for local in [
            "http://127.0.0.1:9000",
            "http://127.9.9.9",
            "http://[::1]:1",
            "http://localhost:80/v1",
            "http://LOCALHOST",
            "http://127.1",
        ] {
            assert!(check(local, STRICT).is_ok(), "{local}");
        }
        for remote in [
            "http://10.0.0.1",
            "http://localhost.example.com",
            "http://localhost.",
            "http://example.com",
            "http://[::2]",
        ] {
            assert_eq!(check(remote, STRICT), Err(Refused::PlainHttp), "{remote}");
            assert!(check(remote, BOTH).is_ok(), "{remote}");
        }
    }

    #[test]
    fn each_refusal_has_its_reason() {
        for (text, reason) in [
            ("", Refused::Length),
            ("api.example.com/v1", Refused::NotAbsolute),
            ("/v1", Refused::NotAbsolute),
            ("https:example.com", Refused::NotAbsolute),
            ("https:/example.com", Refused::NotAbsolute),
            ("https:///example.com", Refused::NotAbsolute),
            ("https:/user:secret@host/https://x", Refused::NotAbsolute),
            ("https:user@host/https://x", Refused::NotAbsolute),
            ("https://", Refused::NotAbsolute),
            ("https://exa mple.com", Refused::Characters),
            ("https://example.com\n", Refused::Characters),
            ("https:\\\\example.com", Refused::Characters),
            ("https://example.com:99999", Refused::NotAbsolute),
            ("ftp://example.com", Refused::NotAbsolute),
            ("file:///etc/passwd", Refused::NotAbsolute),
            ("javascript://example.com/%0aalert(1)", Refused::NotAbsolute),
            ("https://a*", Refused::Host),
            ("https://*.example.com", Refused::Host),
            ("https://a;b.example.com", Refused::Host),
            ("https://user:secret@example.com", Refused::Credentials),
            ("https://@example.com", Refused::Credentials),
            ("https://example.com/v1?key=1", Refused::Query),
            ("https://example.com/v1?", Refused::Query),
            ("https://example.com/v1#a", Refused::Fragment),
            ("https://example.com/v1#", Refused::Fragment),
        ] {
            assert_eq!(check(text, BOTH), Err(reason), "{text:?}");
        }
        assert_eq!(
            check(&format!("https://a.example/{}", "x".repeat(2_040)), BOTH),
            Err(Refused::Length)
        );
    }

    #[test]
    fn private_hosts_need_a_variable_of_their_own() {
        for text in [
            "https://10.0.0.1/v1",
            "https://0xa9fea9fe/latest/meta-data",
            "https://metadata.google.internal",
            "https://[fd00::1]:8000/v1",
            "https://vllm/v1",
        ] {
            assert_eq!(check(text, STRICT), Err(Refused::Private), "{text}");
            assert_eq!(check(text, HTTP), Err(Refused::Private), "{text}");
            assert!(check(text, PRIVATE).is_ok(), "{text}");
        }
        let plain = "http://10.0.0.1:8000/v1";
        assert_eq!(check(plain, STRICT), Err(Refused::PlainHttp));
        assert_eq!(check(plain, HTTP), Err(Refused::Private));
        assert_eq!(check(plain, PRIVATE), Err(Refused::PlainHttp));
        assert!(check(plain, BOTH).is_ok());
    }

    #[test]
    fn the_gateway_is_no_server_of_its_own() {
        let behind = |own| Rules {
            own_url: Some(own),
            ..BOTH
        };
        for (own, text) in [
            ("https://gw.example/api/servers", "https://gw.example/v1"),
            ("https://gw.example/", "https://GW.example.:443/v1"),
            ("https://gw.example/", "http://gw.example/v1"),
            ("http://127.0.0.1:8787/", "http://127.1:8787/v1"),
            ("http://[::1]:8787/", "http://[0:0::1]:8787"),
        ] {
            assert_eq!(check(text, behind(own)), Err(Refused::Itself), "{text}");
        }
        for (own, text) in [
            ("https://gw.example/", "https://api.example/v1"),
            ("https://gw.example/", "https://x.gw.example/v1"),
            ("http://127.0.0.1:8787/", "http://127.0.0.1:9000/v1"),
            ("no url", "https://gw.example/v1"),
        ] {
            assert!(check(text, behind(own)).is_ok(), "{text}");
        }
    }
}
