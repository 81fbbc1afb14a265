//! 审计页的文案。
//!
//! Messages of the audit trail; words that other pages show as well are in `common`, and names of pages in `shell`.

crate::messages! {
    title: "Audit", "审计";
    hint: "Who changed what, and when", "谁在何时改了什么";
}
