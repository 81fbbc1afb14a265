//! 服务器页的文案。
//!
//! Messages of the page of servers; words that other pages show as well are in `common`, and names of pages in `shell`.

crate::messages! {
    title: "Servers", "服务器";
    hint: "Where requests go, in the order in which they are tried", "请求的去向，按尝试顺序排列";
}
