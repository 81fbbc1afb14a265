//! 一个字段在补丁里的三种状态：不动、设为值、设为空。
//!
//! Owns the difference between a field that is absent from a patch and one that is null. A
//! nullable field is a `Change<Option<T>>`: absent is `Keep`, null is `Set(None)`.

use serde::{Serialize, Serializer};

/// What a patch does to one field.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// The field was absent: it stays as it is.
    #[default]
    Keep,
    /// The field was present.
    Set(T),
}

impl<T> Change<T> {
    /// The new value, if there is one.
    #[must_use]
    pub fn as_set(&self) -> Option<&T> {
        match self {
            Self::Keep => None,
            Self::Set(value) => Some(value),
        }
    }

    /// The new value, if there is one.
    #[must_use]
    pub fn into_set(self) -> Option<T> {
        match self {
            Self::Keep => None,
            Self::Set(value) => Some(value),
        }
    }

    /// The new value, or what an object gets that is created without the field.
    #[must_use]
    pub fn or_default_of(self, default: T) -> T {
        self.into_set().unwrap_or(default)
    }

    /// True where the field stays as it is. For `skip_serializing_if`.
    #[must_use]
    pub fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }
}

impl<T: Serialize> Serialize for Change<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_set().serialize(serializer)
    }
}
