//! 裁定：每个方案必须显示什么。
//!
//! Owns the bounds that a run is held to, whole or a tenth of it. What a run shows besides is for the
//! reader of its row.

use super::figures::Figures;
use super::plan::{Expect, Spread};

/// Everything that a run does not show but must; empty is good.
pub fn complaints(row: &Figures) -> Vec<String> {
    let mut found = Vec::new();
    let mut must = |holds: bool, what: &str| {
        if !holds {
            found.push(format!("{}: {what}: {row:#?}", row.plan.name));
        }
    };
    must(
        row.windows_over == 0,
        "no minute at the provider exceeds a limit",
    );
    must(
        row.out_of_order == 0,
        "each object serves in the order of arrival",
    );
    must(row.unanswered == 0, "every request is answered");
    must(
        row.asked > 0 && row.served_rate > 0.0,
        "something was measured",
    );

    let limit = row.plan.limits;
    let tokens = row.plan.mean_tokens();
    let by_tokens = limit.tpm.map(|tpm| tpm / tokens);
    let per_minute = limit
        .rpm
        .into_iter()
        .chain(by_tokens)
        .min()
        .unwrap_or(u64::MAX);
    let is_beyond_limit = row.plan.rate * 60.0 > per_minute as f64;
    let is_ahead = row.plan.ahead.is_some();
    let is_for_all = row.plan.ahead.is_some_and(|ahead| ahead.least <= 1);

    if row.plan.expect == Expect::Overloaded {
        must(
            row.overloaded > 0.05,
            "an object beyond what it carries refuses",
        );
        must(row.busy > 0.85, "and has little time left");
        return found;
    }
    must(row.overloaded == 0.0, "no object is overloaded");
    if is_beyond_limit {
        let least = if row.plan.spread == Spread::Region {
            0.85
        } else {
            0.98
        };
        must(row.used >= least, "a limit that binds is used");
    } else {
        must(row.refused == 0.0, "nobody is refused below the limit");
        must(row.used >= 0.35, "what is asked for is served");
    }
    if is_for_all {
        must(
            row.calls_per_request < 0.7,
            "calls are far fewer than requests",
        );
    }
    if row.plan.shards == 1 && !is_ahead {
        must(row.passed == 0.0, "one object is one queue");
    }
    if row.plan.shards > 1 && row.plan.spread == Spread::Random {
        must(
            row.passed_by.as_secs_f64() < 2.0,
            "queues of one length pass each other by little",
        );
    }
    found
}
