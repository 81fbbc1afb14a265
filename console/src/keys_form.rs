//! 密钥的规则：状态、到期、要发送的字段。
//!
//! Owns what the page of gateway keys decides without a browser: the state of a key at a time, what an expiry
//! preset means, and which fields of a form are sent. The rules of the fields themselves are the gateway's;
//! only what is plainly missing is told before it is asked.
//!
//! Invariant: a change sends the fields that were changed and no other, so that it undoes nobody else's.

use admission::time::Instant;
use gateway::admin_api::{KeyView, rfc3339};
use serde_json::{Map, Value, json};

use crate::range::milliseconds;

const DAY_MS: u64 = 86_400_000;
/// From then on the end of a key is near enough to prepare its successor.
const SOON_MS: u64 = 14 * DAY_MS;

/// How a key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is accepted.
    Active,
    /// It is accepted, and ends within two weeks.
    Ending,
    /// Its time is over.
    Expired,
    /// Somebody switched it off.
    Disabled,
}

/// How a key stands at a time. What is expired and disabled is expired: enabling it would not help.
#[must_use]
pub fn state(key: &KeyView, now_ms: u64) -> State {
    let end = key.expires_at.as_deref().and_then(milliseconds);
    match end {
        Some(end) if end <= now_ms => State::Expired,
        _ if !key.enabled => State::Disabled,
        Some(end) if end.saturating_sub(now_ms) <= SOON_MS => State::Ending,
        _ => State::Active,
    }
}

/// The choices of an expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// None.
    Never,
    /// So many days from now.
    Days(u16),
    /// A time that somebody typed.
    Custom,
}

impl Expiry {
    /// All, in the order of the list.
    pub const ALL: [Self; 6] = [
        Self::Never,
        Self::Days(7),
        Self::Days(30),
        Self::Days(90),
        Self::Days(365),
        Self::Custom,
    ];

    /// Its name as the value of an option.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Never => "never".to_owned(),
            Self::Days(days) => days.to_string(),
            Self::Custom => "custom".to_owned(),
        }
    }

    /// The choice of a name; what is unknown never expires.
    #[must_use]
    pub fn parse(name: &str) -> Self {
        let known = Self::ALL.into_iter().find(|one| one.name() == name);
        known.unwrap_or(Self::Never)
    }

    /// The instant that it means; `typed` is the time beside [`Expiry::Custom`]. None is never; an error is a
    /// time that is missing.
    pub fn at(self, now_ms: u64, typed: Option<u64>) -> Result<Option<u64>, Missing> {
        match self {
            Self::Never => Ok(None),
            Self::Days(days) => {
                let span = u64::from(days).saturating_mul(DAY_MS);
                Ok(Some(now_ms.saturating_add(span)))
            }
            Self::Custom => typed.map(Some).ok_or(Missing),
        }
    }
}

/// A time that was chosen, but not typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing;

/// What stands in the form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    /// For people.
    pub name: String,
    /// The only app; empty is any.
    pub app: String,
    /// The only models; empty is any.
    pub models: Vec<String>,
    /// In milliseconds; None is never.
    pub expires_ms: Option<u64>,
}

impl Draft {
    /// The form of a key as it is.
    #[must_use]
    pub fn of(key: &KeyView) -> Self {
        Self {
            name: key.name.clone(),
            app: key.app.clone().unwrap_or_default(),
            models: key.models.clone(),
            expires_ms: key.expires_at.as_deref().and_then(milliseconds),
        }
    }

    /// The body that creates a key.
    #[must_use]
    pub fn create(&self) -> Value {
        json!({
            "name": self.name.trim(),
            "app": self.app(),
            "models": self.models,
            "expires_at": self.expires_at(),
        })
    }

    /// The body that changes a key which was `before`: empty if nothing was changed.
    #[must_use]
    pub fn patch(&self, before: &Self) -> Value {
        let mut fields = Map::new();
        if self.name.trim() != before.name.trim() {
            fields.insert("name".to_owned(), json!(self.name.trim()));
        }
        if self.app() != before.app() {
            fields.insert("app".to_owned(), json!(self.app()));
        }
        if self.models != before.models {
            fields.insert("models".to_owned(), json!(self.models));
        }
        if self.expires_ms != before.expires_ms {
            fields.insert("expires_at".to_owned(), json!(self.expires_at()));
        }
        Value::Object(fields)
    }

    fn app(&self) -> Option<&str> {
        let app = self.app.trim();
        (!app.is_empty()).then_some(app)
    }

    fn expires_at(&self) -> Option<String> {
        self.expires_ms
            .map(|milliseconds| rfc3339(Instant::from_millis(milliseconds)))
    }
}

/// Whether a key is meant by what somebody searches for: in its name, app, prefix or one of its models.
#[must_use]
pub fn matches(key: &KeyView, wanted: &str) -> bool {
    let wanted = wanted.trim().to_lowercase();
    let has = |text: &str| text.to_lowercase().contains(&wanted);
    has(&key.name)
        || has(&key.prefix)
        || key.app.as_deref().is_some_and(has)
        || key.models.iter().any(|model| has(model))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_420_800_000;

    fn key(expires_ms: Option<u64>, enabled: bool) -> KeyView {
        KeyView {
            id: "key_1".to_owned(),
            name: "Team A".to_owned(),
            app: Some("chat-bot".to_owned()),
            models: vec!["gpt-5*".to_owned()],
            prefix: "sk-sluice-AbCd".to_owned(),
            expires_at: expires_ms.map(|at| rfc3339(Instant::from_millis(at))),
            previous_expires_at: None,
            enabled,
            created_at: rfc3339(Instant::from_millis(0)),
        }
    }

    #[test]
    fn a_key_ends_at_its_instant_and_that_is_told_two_weeks_before() {
        assert_eq!(state(&key(None, true), NOW), State::Active);
        assert_eq!(state(&key(None, false), NOW), State::Disabled);
        assert_eq!(state(&key(Some(NOW), true), NOW), State::Expired);
        assert_eq!(state(&key(Some(NOW), false), NOW), State::Expired);
        assert_eq!(state(&key(Some(NOW + 1), true), NOW), State::Ending);
        assert_eq!(state(&key(Some(NOW + SOON_MS), true), NOW), State::Ending);
        assert_eq!(
            state(&key(Some(NOW + SOON_MS + 1), true), NOW),
            State::Active
        );
        assert_eq!(state(&key(Some(NOW + 1), false), NOW), State::Disabled);
    }

    #[test]
    fn a_preset_counts_from_now_and_a_typed_time_must_be_there() {
        assert_eq!(Expiry::Never.at(NOW, Some(1)), Ok(None));
        assert_eq!(Expiry::Days(7).at(NOW, None), Ok(Some(NOW + 7 * DAY_MS)));
        assert_eq!(Expiry::Custom.at(NOW, Some(5)), Ok(Some(5)));
        assert_eq!(Expiry::Custom.at(NOW, None), Err(Missing));
    }

    #[test]
    fn the_name_of_a_choice_leads_back_to_it() {
        for choice in Expiry::ALL {
            assert_eq!(Expiry::parse(&choice.name()), choice);
        }
        assert_eq!(Expiry::parse("tomorrow"), Expiry::Never);
    }

    #[test]
    fn a_new_key_is_sent_trimmed_and_without_an_app_it_is_for_any() {
        let draft = Draft {
            name: " Team A ".to_owned(),
            app: "  ".to_owned(),
            ..Draft::default()
        };
        assert_eq!(
            draft.create(),
            json!({"name": "Team A", "app": null, "models": [], "expires_at": null})
        );
    }

    #[test]
    fn only_what_was_changed_is_sent() {
        let before = Draft::of(&key(Some(NOW), true));
        assert_eq!(before.patch(&before), json!({}));
        let mut after = before.clone();
        after.app = String::new();
        assert_eq!(after.patch(&before), json!({"app": null}));
        after.expires_ms = None;
        after.models.clear();
        assert_eq!(
            after.patch(&before),
            json!({"app": null, "models": [], "expires_at": null})
        );
        let renamed = Draft {
            name: "Team B".to_owned(),
            expires_ms: Some(NOW + 1),
            ..before.clone()
        };
        assert_eq!(
            renamed.patch(&before),
            json!({"name": "Team B", "expires_at": "2026-11-23T08:00:00.001Z"})
        );
    }

    #[test]
    fn a_search_looks_at_everything_by_which_a_key_is_known() {
        let key = key(None, true);
        for wanted in ["team", " CHAT-bot", "abcd", "gpt-5", ""] {
            assert!(matches(&key, wanted), "{wanted}");
        }
        assert!(!matches(&key, "claude"));
    }
}
