//! 列表与分页：键集分页，游标不透明。
//!
//! Owns the list shape of PRODUCT.md section 7. A cursor is the sort key and id of the last item
//! that was shown, so that rows which come or go in between neither repeat nor hide others. It is
//! plain text, `1795420800000.key_A-9`, so that the OpenAPI document can say exactly what one is.

use serde::{Deserialize, Serialize};
use url::form_urlencoded;

use super::bounds::{
    CURSOR_CHARS_MAX, ID_CHARS_MAX, PAGE_LEN_DEFAULT, PAGE_LEN_MAX, QUERY_BYTES_MAX,
    STORED_INTEGER_MAX,
};
use super::object::invalid_field;
use crate::error::GatewayError;

/// Which part of a list is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Most items to answer with.
    pub limit: u32,
    /// Where the page before ended.
    pub cursor: Option<Cursor>,
}

/// The place of one item in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// What the list is sorted by: a position, or a time in milliseconds.
    pub sort_key: u64,
    /// Decides where two sort keys are equal.
    pub id: String,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(rename = "{T}List"))]
pub struct List<T> {
    /// The items, in order.
    pub items: Vec<T>,
    /// Asks for the next page; None on the last one.
    pub next_cursor: Option<String>,
}

impl Page {
    /// Reads `limit` and `cursor` from the query of a URL; other parameters are not ours to judge.
    pub fn parse(query: &str) -> Result<Self, GatewayError> {
        if query.len() > QUERY_BYTES_MAX {
            let message = format!("The query of the URL may have at most {QUERY_BYTES_MAX} bytes.");
            return Err(invalid_field("query", message));
        }
        let mut page = Self {
            limit: PAGE_LEN_DEFAULT,
            cursor: None,
        };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "limit" => page.limit = limit(&value)?,
                "cursor" => page.cursor = Some(Cursor::decode(&value)?),
                _ => {}
            }
        }
        Ok(page)
    }

    /// How many rows to read: one more than the page shows, to know whether there is a next one.
    #[must_use]
    pub fn rows(&self) -> u32 {
        self.limit.saturating_add(1)
    }
}

impl Cursor {
    /// The text that a client sends back unchanged.
    #[must_use]
    pub fn encode(&self) -> String {
        format!("{}.{}", self.sort_key, self.id)
    }

    fn decode(text: &str) -> Result<Self, GatewayError> {
        Self::read(text).ok_or_else(Self::unknown)
    }

    /// 422 about a cursor that no list gave.
    pub(super) fn unknown() -> GatewayError {
        invalid_field(
            "cursor",
            "`cursor` is not one that a list of this gateway answered with.".to_owned(),
        )
    }

    fn read(text: &str) -> Option<Self> {
        if text.len() > CURSOR_CHARS_MAX {
            return None;
        }
        let (sort_key, id) = text.split_once('.')?;
        // Only as it is written: no sign, no zeros before it.
        let canonical = |key: &u64| *key <= STORED_INTEGER_MAX && key.to_string() == sort_key;
        let sort_key = sort_key.parse().ok().filter(canonical)?;
        let known = id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        (known && (1..=ID_CHARS_MAX).contains(&id.len())).then(|| Self {
            sort_key,
            id: id.to_owned(),
        })
    }
}

impl<T> List<T> {
    /// The page that `rows` are, which were read with the limit [`Page::rows`].
    #[must_use]
    pub fn of_rows<R>(
        page: &Page,
        rows: Vec<R>,
        place: impl Fn(&R) -> Cursor,
        view: impl Fn(R) -> T,
    ) -> Self {
        let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        let shown: Vec<R> = rows.into_iter().take(limit).collect();
        let next_cursor = shown.last().filter(|_| more).map(|row| place(row).encode());
        Self {
            items: shown.into_iter().map(view).collect(),
            next_cursor,
        }
    }
}

fn limit(text: &str) -> Result<u32, GatewayError> {
    text.parse()
        .ok()
        .filter(|limit| (1..=PAGE_LEN_MAX).contains(limit))
        .ok_or_else(|| {
            invalid_field(
                "limit",
                format!("`limit` must be an integer from 1 to {PAGE_LEN_MAX}."),
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn param(query: &str) -> String {
        let error = Page::parse(query).unwrap_err();
        assert_eq!(error.status(), 422);
        error.param.unwrap().into_owned()
    }

    #[test]
    fn a_page_has_fifty_items_unless_asked_otherwise() {
        assert_eq!(
            Page::parse("").unwrap(),
            Page {
                limit: 50,
                cursor: None
            }
        );
        assert_eq!(Page::parse("limit=500&other=x").unwrap().limit, 500);
    }

    #[test]
    fn a_limit_outside_its_bounds_is_refused() {
        for query in [
            "limit=0",
            "limit=501",
            "limit=",
            "limit=x",
            "limit=1.0",
            "limit=-1",
        ] {
            assert_eq!(param(query), "limit");
        }
    }

    #[test]
    fn a_cursor_reads_back_and_anything_else_is_refused() {
        let cursor = Cursor {
            sort_key: 1_795_420_800_000,
            id: "key_A-9".to_owned(),
        };
        let page = Page::parse(&format!("cursor={}", cursor.encode())).unwrap();
        assert_eq!(page.cursor, Some(cursor));
        for bad in [
            "",
            "%FF",
            &"x".repeat(200),
            "1",
            "1.",
            ".a",
            "x.a",
            "-1.a",
            "%2B1.a",
            "01.a",
            "9007199254740993.a",
            "1.a b",
            "1.a.b",
            &format!("1.{}", "a".repeat(65)),
        ] {
            assert_eq!(param(&format!("cursor={bad}")), "cursor", "{bad}");
        }
    }

    #[test]
    fn the_longest_cursor_is_not_longer_than_its_bound() {
        let cursor = Cursor {
            sort_key: STORED_INTEGER_MAX,
            id: "a".repeat(ID_CHARS_MAX),
        };
        assert!(cursor.encode().len() <= CURSOR_CHARS_MAX);
    }

    #[test]
    fn the_row_too_many_is_not_shown_but_announced() {
        let page = Page {
            limit: 2,
            cursor: None,
        };
        let place = |row: &u64| Cursor {
            sort_key: *row,
            id: "i".to_owned(),
        };
        let list = List::of_rows(&page, vec![1, 2, 3], place, |row| row);
        assert_eq!(list.items, [1, 2]);
        assert_eq!(list.next_cursor, Some(place(&2).encode()));
        assert_eq!(
            List::of_rows(&page, vec![1, 2], place, |row| row).next_cursor,
            None
        );
    }
}
