//! 总览页的文案：实时状态、汇总、趋势、需要关注的事。
//!
//! Messages of the overview: live strips, totals, series and what needs attention.

crate::messages! {
    title: "Overview", "总览";
    hint: "What waits, how long, and why", "谁在等待、等了多久、为什么";
}
