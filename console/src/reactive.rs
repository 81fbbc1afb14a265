//! 响应式原语：Sycamore 的，闭包统一为一种类型。
//!
//! Sycamore's effects, memos and selectors, given their functions in boxes: else the compiler makes a copy of
//! their code for each of several hundred functions, and the console is downloaded. Files import these beside
//! Sycamore's prelude, whose own they replace.
//!
//! Invariant: they behave as Sycamore's.

use sycamore::reactive::{self, ReadSignal};

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
