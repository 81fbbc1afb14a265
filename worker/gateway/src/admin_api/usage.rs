//! 用量统计：查询与答复。
//!
//! Owns what `GET /api/stats/usage` and its CSV take and show: `query` reads and bounds the parameters, `view`
//! turns sums into rows. The sums themselves come from `sql::usage`.

mod query;
mod view;

pub use query::{Granularity, Grouping, UsageFilter, UsagePlace, UsageQuery};
pub use view::{UsageFigures, UsageLine, UsageReport, UsageSums, UsageView};
