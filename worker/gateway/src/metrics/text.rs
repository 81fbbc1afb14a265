//! Prometheus 文本格式 0.0.4 的写法。
//!
//! Owns escaping, the order of a family's lines and how times are written; knows no metric. Format:
//! Prometheus documentation, "Exposition formats". Written here because the crates that render metrics keep
//! their own registries, while our counts come from other machines.
//!
//! Invariant: a family without a sample leaves no line.

use std::fmt::{Display, Write as _};
use std::time::Duration;

/// Of the answer.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A time in Prometheus' base unit, to the millisecond.
#[derive(Clone, Copy)]
pub(super) struct Seconds(pub(super) Duration);

impl Display for Seconds {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "{}.{:03}",
            self.0.as_secs(),
            self.0.subsec_millis()
        )
    }
}

/// The answer as it grows.
#[derive(Default)]
pub(super) struct Text {
    text: String,
}

/// One metric; its head is written with its first sample.
pub(super) struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    has_head: bool,
}

type Labels<'a> = &'a [(&'static str, &'a str)];

impl Text {
    pub(super) fn gauge(&mut self, name: &'static str, help: &'static str) -> Family<'_> {
        self.family(name, "gauge", help)
    }

    pub(super) fn counter(&mut self, name: &'static str, help: &'static str) -> Family<'_> {
        self.family(name, "counter", help)
    }

    pub(super) fn histogram(&mut self, name: &'static str, help: &'static str) -> Family<'_> {
        self.family(name, "histogram", help)
    }

    pub(super) fn finish(self) -> String {
        self.text
    }

    fn family(&mut self, name: &'static str, kind: &'static str, help: &'static str) -> Family<'_> {
        Family {
            text: &mut self.text,
            name,
            kind,
            help,
            has_head: false,
        }
    }
}

impl Family<'_> {
    /// One sample.
    pub(super) fn value(&mut self, labels: Labels<'_>, value: impl Display) {
        self.sample("", labels, None, value);
    }

    /// One histogram: `counts` by bucket, the last for values above all `bounds`, which are milliseconds.
    pub(super) fn distribution(
        &mut self,
        labels: Labels<'_>,
        bounds: &[u64],
        counts: &[u64],
        sum_ms: u64,
    ) {
        let mut total: u64 = 0;
        let mut counts = counts.iter().copied();
        for bound in bounds {
            total = total.saturating_add(counts.next().unwrap_or(0));
            let bound = Seconds(Duration::from_millis(*bound)).to_string();
            self.sample("_bucket", labels, Some(&bound), total);
        }
        let total = counts.fold(total, u64::saturating_add);
        self.sample("_bucket", labels, Some("+Inf"), total);
        self.sample("_sum", labels, None, Seconds(Duration::from_millis(sum_ms)));
        self.sample("_count", labels, None, total);
    }

    // Writing into a string cannot fail.
    fn sample(
        &mut self,
        suffix: &str,
        labels: Labels<'_>,
        bound: Option<&str>,
        value: impl Display,
    ) {
        let Self {
            name, kind, help, ..
        } = *self;
        if !self.has_head {
            self.has_head = true;
            let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        }
        let _ = write!(self.text, "{name}{suffix}");
        let bound = bound.map(|bound| ("le", bound));
        let mut before = '{';
        for (label, text) in labels.iter().copied().chain(bound) {
            let _ = write!(self.text, "{before}{label}=\"");
            self.text.extend(text.chars().flat_map(escaped));
            self.text.push('"');
            before = ',';
        }
        if before == ',' {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }
}

fn escaped(character: char) -> impl Iterator<Item = char> {
    let (escape, character) = match character {
        '\\' | '"' => (Some('\\'), character),
        '\n' => (Some('\\'), 'n'),
        _ => (None, character),
    };
    escape.into_iter().chain([character])
}
