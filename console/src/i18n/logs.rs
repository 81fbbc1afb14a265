//! 日志页的文案。
//!
//! Messages of the page of the log; words that other pages show as well are in `common`, and names of pages in `shell`.

crate::messages! {
    title: "Logs", "日志";
    hint: "One row per request, newest first", "每个请求一行，最新的在前";
}
