//! 用量页的文案。
//!
//! Messages of the page of statistics; words that other pages show as well are in `common`, and names of pages in `shell`.

crate::messages! {
    title: "Usage", "用量";
    hint: "What was used, by server, app and model", "按服务器、应用和模型统计的用量";
}
