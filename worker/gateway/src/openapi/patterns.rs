//! 正则：代码里的校验，用 ECMA 262 再写一遍。
//!
//! Owns the patterns of the OpenAPI document. They use only what every dialect of regular expressions reads
//! alike. Invariant: a text that fits its pattern and bounds is accepted. The other way round it holds for
//! all but base URLs, where the WHATWG rules take more hosts than a pattern can say.

use crate::config::APP_NAME_LEN_MAX;

/// Control characters, as `char::is_control` has them.
const CONTROL: &str = r"\u0000-\u001f\u007f-\u009f";
/// White space that is no control character, as `str::trim` has it.
const SPACE: &str = r"\u0020\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000";

/// A credential for a header.
pub(crate) const CREDENTIAL: &str = "^[!-~]+$";
/// RFC 3339. The years are those that lie after 1970 whatever the offset, and before 9999 likewise.
pub(crate) const TIME: &str = concat!(
    "^(197[1-9]|19[89][0-9]|[2-8][0-9]{3}|9[0-8][0-9]{2}|99[0-8][0-9]|999[0-8])",
    r"-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$"
);
/// The `{id}` of a path.
pub(crate) const ID: &str = "^[A-Za-z0-9._-]{1,64}$";
/// Where a page begins.
pub(crate) const CURSOR: &str = r"^(0|[1-9][0-9]{0,14})\.[A-Za-z0-9_-]{1,64}$";
/// Where a page of the audit trail begins.
pub(crate) const AUDIT_CURSOR: &str = r"^(0|[1-9][0-9]{0,14})\.[0-9]{1,15}$";
/// The version in `If-Match`; the runtime hands an empty one over as absent.
pub(crate) const IF_MATCH: &str = r#"^(\*|(W/)?"[0-9]{1,15}"|(W/)?[0-9]{1,15})?$"#;
/// Decimal seconds.
pub(crate) const SECONDS: &str = r"^([0-9]+\.?[0-9]*|\.[0-9]+)$";

/// One line without spaces around it.
pub(crate) fn one_line() -> String {
    format!("^[^{CONTROL}{SPACE}]([^{CONTROL}]*[^{CONTROL}{SPACE}])?$")
}

/// One line, with a star nowhere but at its end.
pub(crate) fn model() -> String {
    format!("^([^{CONTROL}{SPACE}]|[^*{CONTROL}{SPACE}][^*{CONTROL}]*[^{CONTROL}{SPACE}])$")
}

/// Printable ASCII without spaces around it.
pub(crate) fn app_name() -> String {
    let middle = APP_NAME_LEN_MAX.saturating_sub(2);
    format!("^[!-~]([ -~]{{0,{middle}}}[!-~])?$")
}

/// The base URLs that every client can rely on: public https hosts of ASCII labels, or http to this machine.
/// The path is exact.
pub(crate) fn base_url() -> String {
    let label = "[A-Za-z0-9]+(-[A-Za-z0-9]+)*";
    let host = format!(r"({label}\.)+[A-Za-z]{{2,}}");
    let here = r"http://(localhost|127\.0\.0\.1|\[::1\])";
    let path = format!(r"/[^{CONTROL}{SPACE}?#\\]*");
    format!("^(https://{host}|{here})(:[1-9][0-9]{{0,3}})?({path})?$")
}
