//! 文本：CSV 无公式、信封不可改、设置说得清。
//!
//! The CSV writer, the envelope of encrypted keys and the variables of the environment. The oracles: cells read back as
//! they were and none is a formula; an envelope opens with its own key, place and bytes alone; a bad variable is told and
//! never opens anything; no problem quotes a secret.

use gateway::admin_api::bounds::API_KEY_CHARS_MAX;
use gateway::config::Secret;
use gateway::csv::push_line;
use gateway::envelope::Keyring;
use gateway::settings::{BODY_BYTES_MAX_MAX, RETRY_MAX_MAX, Settings, TOKEN_LEN_MIN, VARIABLES};

use crate::input::Input;

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const OTHER_KEY: &str = "HwECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const FORMULA_STARTS: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let which = input.byte();
    let parts = input.parts();
    match which % 3 {
        0 => cells(&parts),
        1 => envelopes(&parts, usize::from(which)),
        _ => variables(&parts),
    }
}

fn cells(cells: &[String]) {
    let mut csv = String::new();
    push_line(&mut csv, cells.iter().map(String::as_str));
    let back = read_line(&csv);
    assert_eq!(back.len(), cells.len(), "{csv:?}");
    for (written, cell) in back.iter().zip(cells) {
        assert!(!written.starts_with(FORMULA_STARTS), "{written:?}");
        let bare = if cell.starts_with(FORMULA_STARTS) {
            written.strip_prefix('\'').expect("a mark before a formula")
        } else {
            written
        };
        assert_eq!(bare, cell);
    }
}

/// One line as RFC 4180 says.
fn read_line(text: &str) -> Vec<String> {
    let line = text.strip_suffix("\r\n").expect("a line ends");
    let (mut cells, mut cell, mut is_quoted) = (Vec::new(), String::new(), false);
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if is_quoted && characters.peek() == Some(&'"') => {
                characters.next();
                cell.push('"');
            }
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => cells.push(std::mem::take(&mut cell)),
            other => cell.push(other),
        }
    }
    assert!(!is_quoted, "a quote that does not end: {text:?}");
    cells.push(cell);
    cells
}

fn envelopes(parts: &[String], at: usize) {
    let text = parts.first().map_or("", String::as_str);
    let place = parts.get(1).map_or("srv_1", String::as_str);
    let keyring = Keyring::new(KEY, Some(OTHER_KEY)).expect("two keys");
    assert!(keyring.open(text, place).is_err(), "an envelope of nobody");
    // As the API takes keys: what is longer is never sealed.
    let text = &text[..text.floor_char_boundary(API_KEY_CHARS_MAX)];
    let sealed = keyring
        .seal_server_key(place, &Secret::new(text), [5; 12])
        .expect("small");
    let opened = keyring
        .open_server_key(place, &sealed.envelope)
        .expect("its own");
    assert!(opened.current && opened.secret.expose() == text);
    assert!(
        keyring
            .open_server_key(&format!("{place}x"), &sealed.envelope)
            .is_err(),
        "moved to another row"
    );
    let rotated = Keyring::new(OTHER_KEY, Some(KEY)).expect("two keys");
    let opened = rotated
        .open_server_key(place, &sealed.envelope)
        .expect("the key before");
    assert!(!opened.current);
    let at = at % sealed.envelope.len();
    let spoiled = [&sealed.envelope[..at], "~", &sealed.envelope[at + 1..]].concat();
    assert!(
        keyring.open_server_key(place, &spoiled).is_err(),
        "{spoiled}"
    );
    if let Ok(odd) = Keyring::new(text, None) {
        let sealed = odd.seal(&Secret::new("x"), "y", [1; 12]).expect("small");
        assert!(
            odd.open(&sealed, "y").is_ok() && keyring.open(&sealed, "y").is_err()
                || text.trim() == KEY
                || text.trim() == OTHER_KEY
        );
    }
}

fn variables(parts: &[String]) {
    let value_of = |name: &str| {
        let at = VARIABLES
            .iter()
            .position(|variable| variable.name == name)?;
        parts.get(at).filter(|value| !value.is_empty()).cloned()
    };
    let settings = Settings::parse(value_of);
    assert!((1_024..=BODY_BYTES_MAX_MAX).contains(&settings.body_bytes_max));
    assert!(settings.retry_max <= RETRY_MAX_MAX && settings.log_retention_days >= 1);
    for token in [&settings.admin_token, &settings.viewer_token]
        .into_iter()
        .flatten()
    {
        assert!(token.expose().len() >= TOKEN_LEN_MIN);
    }
    if let Some(key) = &settings.encryption_key {
        Keyring::new(key.expose(), None).expect("a key that was accepted");
    }
    let is_test =
        value_of("ENVIRONMENT").is_some_and(|text| matches!(text.trim(), "development" | "test"));
    assert!(!settings.fault_injection || is_test, "faults in production");
    for variable in VARIABLES.iter().filter(|variable| variable.secret) {
        let Some(value) = value_of(variable.name).filter(|value| value.trim().len() >= 8) else {
            continue;
        };
        let is_quoted = |problem: &String| {
            problem.contains(value.trim())
                && !VARIABLES.iter().any(|known| {
                    known.name.contains(value.trim())
                        || problem_words(known.name).contains(value.trim())
                })
        };
        assert!(
            !settings.problems.iter().any(is_quoted),
            "a problem quotes a secret: {:?}",
            settings.problems
        );
    }
    assert_eq!(
        Settings::parse(value_of),
        settings,
        "read twice, read otherwise"
    );
}

/// What the problems say anyway, without any value.
fn problem_words(name: &str) -> String {
    let long = |asked: &str| (asked == name).then(|| "~".to_owned());
    Settings::parse(long).problems.join(" ")
}
