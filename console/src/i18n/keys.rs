//! 密钥页的文案。
//!
//! Messages of the page of gateway keys; words that other pages show as well are in `common`, and names of pages in `shell`.

crate::messages! {
    title: "Keys", "密钥";
    hint: "What applications authenticate with", "应用程序用来认证的凭据";
}
