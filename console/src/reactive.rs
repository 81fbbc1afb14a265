//! 响应式原语：Sycamore 的，闭包统一为一种类型。
//!
//! Sycamore's effects, memos, selectors and lists, given their functions in boxes: else the compiler makes a
//! copy of their code for each of several hundred functions, and the console is downloaded. Files import these
//! beside Sycamore's prelude, whose own they replace.
//!
//! Invariant: they behave as Sycamore's.

#![allow(
    missing_docs,
    reason = "props are told at their component; their builders are made by a macro"
)]

use std::hash::Hash;

use sycamore::prelude::{View, component};
use sycamore::reactive::{self, MaybeDyn, ReadSignal};

/// Runs a function now and whenever a signal that it read changes.
pub fn create_effect(run: impl FnMut() + 'static) {
    let run: Box<dyn FnMut()> = Box::new(run);
    reactive::create_effect(run);
}

/// A value that is made of signals.
pub fn create_memo<T: 'static>(make: impl FnMut() -> T + 'static) -> ReadSignal<T> {
    let make: Box<dyn FnMut() -> T> = Box::new(make);
    reactive::create_memo(make)
}

/// A value that is made of signals and tells its readers only when it differs.
pub fn create_selector<T: PartialEq + 'static>(make: impl FnMut() -> T + 'static) -> ReadSignal<T> {
    let make: Box<dyn FnMut() -> T> = Box::new(make);
    reactive::create_selector(make)
}

/// What a control does when it is used; `view!` wraps the handlers of events with it.
pub fn handler<E: 'static>(handle: impl FnMut(E) + 'static) -> Box<dyn FnMut(E)> {
    Box::new(handle)
}

/// A view per item of a list; an item keeps its view as long as its key is there.
#[component(inline_props)]
pub fn Keyed<T: Clone + PartialEq + 'static, K: Eq + Hash + 'static>(
    #[prop(setter(into))] list: MaybeDyn<Vec<T>>,
    view: impl Fn(T) -> View + 'static,
    key: impl Fn(&T) -> K + 'static,
) -> View {
    keyed(list, Box::new(view), Box::new(key))
}

fn keyed<T, K>(
    list: MaybeDyn<Vec<T>>,
    make: Box<dyn Fn(T) -> View>,
    name: Box<dyn Fn(&T) -> K>,
) -> View
where
    T: Clone + PartialEq + 'static,
    K: Eq + Hash + 'static,
{
    console_macros::view! { sycamore::web::Keyed(list=list, view=make, key=name) }
}
