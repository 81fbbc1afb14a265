//! 视图宏：Sycamore 的 view!，动态部分统一为一种类型。
//!
//! The `view!` of the console. It is Sycamore's, with one difference: each dynamic part of a view is given to
//! Sycamore as a boxed function. Otherwise the compiler makes a copy of the code that keeps a part of the page
//! up to date for each of several hundred such parts, which is a third of the download.
//!
//! Invariant: it reads the same language and draws the same nodes as Sycamore's own.

use proc_macro::TokenStream;
use proc_macro2::{Delimiter, Group, TokenTree};
use quote::quote;
use sycamore_view_parser::codegen::Codegen;
use sycamore_view_parser::ir::Root;
use syn::parse_macro_input;

/// Makes a view; the language is that of Sycamore.
#[proc_macro]
pub fn view(input: TokenStream) -> TokenStream {
    let root = parse_macro_input!(input as Root);
    boxed(Codegen {}.root(&root)).into()
}

/// Boxes the argument of each `from_dynamic(…)`.
fn boxed(tokens: proc_macro2::TokenStream) -> proc_macro2::TokenStream {
    let mut is_argument = false;
    let convert = |token| {
        let was_argument = is_argument;
        is_argument = matches!(&token, TokenTree::Ident(ident) if ident == "from_dynamic");
        let TokenTree::Group(group) = token else {
            return token;
        };
        let inside = boxed(group.stream());
        let inside = if was_argument && group.delimiter() == Delimiter::Parenthesis {
            quote! {
                ::std::boxed::Box::new(#inside)
                    as ::std::boxed::Box<dyn ::core::ops::FnMut() -> ::sycamore::rt::View>
            }
        } else {
            inside
        };
        let mut group_again = Group::new(group.delimiter(), inside);
        group_again.set_span(group.span());
        TokenTree::Group(group_again)
    };
    tokens.into_iter().map(convert).collect()
}
