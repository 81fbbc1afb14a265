//! 试验场的文案。
//!
//! Messages of the playground; words that other pages show as well are in `common`, and names of pages in `shell`.

crate::messages! {
    title: "Playground", "试验场";
    hint: "Send a request and watch its place in the queue", "发送一个请求，观察它在队列中的位置";
}
