//! 痕迹：一个秘密可能留下的各种写法。
//!
//! Owns the forms in which a text is looked for: as it is, hexadecimal in either case, and
//! base64 of either alphabet, wherever in a longer text it began.

use base64::Engine as _;
use base64::alphabet::{Alphabet, STANDARD, URL_SAFE};
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::NO_PAD;

/// One secret in all its forms.
#[derive(Debug)]
pub(super) struct Trace {
    pub(super) what: String,
    forms: Vec<(&'static str, Vec<u8>)>,
}

impl Trace {
    pub(super) fn of(what: &str, secret: &[u8]) -> Self {
        assert!(
            secret.len() >= 12,
            "{what} is too short to be told from chance"
        );
        let digits: Vec<String> = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let hex = digits.concat();
        let mut forms = vec![
            ("as it is", secret.to_vec()),
            ("in upper-case hexadecimal", hex.to_uppercase().into_bytes()),
            ("in hexadecimal", hex.into_bytes()),
        ];
        for alphabet in [STANDARD, URL_SAFE] {
            for offset in 0..3 {
                forms.push(("in base64", base64_at(secret, offset, &alphabet)));
            }
        }
        Self {
            what: what.to_owned(),
            forms,
        }
    }

    /// The form in which the secret stands in these bytes.
    pub(super) fn found_in(&self, bytes: &[u8]) -> Option<&'static str> {
        let found = self.forms.iter().find(|(_, form)| contains(bytes, form));
        found.map(|(name, _)| *name)
    }
}

/// Those characters of the base64 of a longer text that stand for the secret alone, where it begins so
/// many bytes behind a multiple of three.
fn base64_at(secret: &[u8], offset: usize, alphabet: &Alphabet) -> Vec<u8> {
    let text = [&[0; 2][..offset], secret].concat();
    let encoded = GeneralPurpose::new(alphabet, NO_PAD).encode(&text);
    let shared_at_start = [0, 2, 3][offset];
    let shared_at_end = usize::from(!text.len().is_multiple_of(3));
    encoded.as_bytes()[shared_at_start..encoded.len() - shared_at_end].to_vec()
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    let Some(first) = needle.first() else {
        return false;
    };
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| byte == first) {
        rest = &rest[at..];
        if rest.starts_with(needle) {
            return true;
        }
        rest = &rest[1..];
    }
    false
}
