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

/// Boxes the argument of each `from_dynamic(…)` and the handler of each `.on(event, handler)`.
fn boxed(tokens: proc_macro2::TokenStream) -> proc_macro2::TokenStream {
    let mut before = String::new();
    let convert = |token| {
        let called = match &token {
            TokenTree::Ident(ident) => std::mem::replace(&mut before, ident.to_string()),
            _ => std::mem::take(&mut before),
        };
        let TokenTree::Group(group) = token else {
            return token;
        };
        let is_call = group.delimiter() == Delimiter::Parenthesis;
        let inside = match called.as_str() {
            "from_dynamic" if is_call => view_function(&boxed(group.stream())),
            "on" if is_call => with_handler(group.stream()),
            _ => boxed(group.stream()),
        };
        let mut group_again = Group::new(group.delimiter(), inside);
        group_again.set_span(group.span());
        TokenTree::Group(group_again)
    };
    tokens.into_iter().map(convert).collect()
}

fn view_function(function: &proc_macro2::TokenStream) -> proc_macro2::TokenStream {
    quote! {
        ::std::boxed::Box::new(#function)
            as ::std::boxed::Box<dyn ::core::ops::FnMut() -> ::sycamore::rt::View>
    }
}

/// Of `::sycamore::rt::events::click, handler` the part after the first comma. Any other call of that name is
/// somebody else's and stays.
fn with_handler(arguments: proc_macro2::TokenStream) -> proc_macro2::TokenStream {
    let tokens: Vec<TokenTree> = arguments.into_iter().collect();
    let is_comma =
        |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ',');
    let is_events =
        |token: &TokenTree| matches!(token, TokenTree::Ident(ident) if ident == "events");
    let comma = tokens.iter().position(is_comma);
    let Some((event, handler)) = comma.and_then(|comma| tokens.split_at_checked(comma)) else {
        return boxed(tokens.into_iter().collect());
    };
    if !event.iter().any(is_events) {
        return boxed(tokens.into_iter().collect());
    }
    let event: proc_macro2::TokenStream = event.iter().cloned().collect();
    let handler = boxed(handler.iter().skip(1).cloned().collect());
    quote! { #event, crate::reactive::handler(#handler) }
}
