//! 嵌套深度：一遍扫描，不用栈。
//!
//! Owns the bound on how deep arrays and objects of a JSON text may nest. Does not know whether the text is
//! well-formed: of one that is, the depth is exact; the parser refuses any other by itself.
//!
//! Invariant: one pass in constant memory, whatever the text says.

use memchr::memchr2;

use crate::error::{ErrorCode, GatewayError};

/// Deepest nesting of a body of the data plane. Tool schemas have some 20 levels; backends that recurse stop
/// at about this depth themselves (128 in `serde_json`, 1,000 in Python), or crash.
pub const DEPTH_MAX: usize = 128;
/// Deepest nesting of a body of the admin API, whose objects have two levels.
pub const ADMIN_DEPTH_MAX: usize = 16;

/// Refuses a text that nests deeper than `max`.
pub fn check(text: &[u8], max: usize) -> Result<(), GatewayError> {
    if !is_deeper(text, max) {
        return Ok(());
    }
    Err(GatewayError::new(
        ErrorCode::InvalidJson,
        format!("The body nests arrays and objects deeper than {max} levels."),
    ))
}

fn is_deeper(text: &[u8], max: usize) -> bool {
    let mut depth: usize = 0;
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| is_structure(*byte)) {
        let found = rest.get(at).copied().unwrap_or_default();
        rest = after(rest, at);
        match found {
            b'"' => rest = after_string(rest),
            b'[' | b'{' => {
                depth = depth.saturating_add(1);
                if depth > max {
                    return true;
                }
            }
            _ => depth = depth.saturating_sub(1),
        }
    }
    false
}

const fn is_structure(byte: u8) -> bool {
    matches!(byte, b'"' | b'[' | b'{' | b']' | b'}')
}

/// What follows the string in which `rest` begins.
fn after_string(mut rest: &[u8]) -> &[u8] {
    while let Some(at) = memchr2(b'"', b'\\', rest) {
        if rest.get(at) == Some(&b'"') {
            return after(rest, at);
        }
        // The escaped byte, which may be a quote.
        rest = after(rest, at.saturating_add(1));
    }
    &[]
}

fn after(bytes: &[u8], at: usize) -> &[u8] {
    bytes.get(at.saturating_add(1)..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn arrays_and_objects_count_and_brackets_in_strings_do_not() {
        for (text, depth) in [
            ("1", 0),
            ("{}", 1),
            (r#"{"a":[]}"#, 2),
            (r#"[[],[[]],{"a":{"b":[1]}}]"#, 4),
            (r#"{"a":"[[[[","b\"[":"\\","c":"\\\"{"}"#, 1),
            (r#"["\u005b[\\"]"#, 1),
        ] {
            assert!(!is_deeper(text.as_bytes(), depth), "{text}");
            assert!(
                depth == 0 || is_deeper(text.as_bytes(), depth - 1),
                "{text}"
            );
        }
    }

    #[test]
    fn the_deepest_text_passes_and_one_level_more_does_not() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(check(nested(DEPTH_MAX).as_bytes(), DEPTH_MAX).is_ok());
        let error = check(nested(DEPTH_MAX + 1).as_bytes(), DEPTH_MAX).unwrap_err();
        assert_eq!((error.status(), error.code), (400, ErrorCode::InvalidJson));
        assert!(check("[".repeat(1_000_000).as_bytes(), DEPTH_MAX).is_err());
        assert!(check("]".repeat(1_000_000).as_bytes(), DEPTH_MAX).is_ok());
    }

    fn depth(value: &Value) -> usize {
        let below = match value {
            Value::Array(items) => items.iter().map(depth).max(),
            Value::Object(fields) => fields.values().map(depth).max(),
            _ => return 0,
        };
        below.unwrap_or(0).saturating_add(1)
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::from),
            "[\\[\\]{}\"\\\\a]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 40, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map("[\\[{\"\\\\a]{0,3}", inner, 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn depth_of_well_formed_json_is_exact(value in any_value()) {
            let text = value.to_string();
            let depth = depth(&value);
            prop_assert!(!is_deeper(text.as_bytes(), depth), "{}", text);
            prop_assert!(depth == 0 || is_deeper(text.as_bytes(), depth.saturating_sub(1)), "{}", text);
        }

        #[test]
        fn any_bytes_get_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = is_deeper(&bytes, 3);
        }
    }
}
