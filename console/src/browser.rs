//! 浏览器的小东西：窗口、文档、存储、定时、CSSOM。
//!
//! Owns the few calls into the browser that everything else is made of, each of which cannot fail or says
//! so with None. Where a browser refuses (storage switched off, say) the console goes on without.

use crate::reactive::create_effect;
use futures::channel::oneshot;
use js_sys::{Function, Promise, Reflect};
use sycamore::prelude::*;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Element, HtmlElement, Node};

pub use sycamore::prelude::{document, window};

/// Text that may depend on signals: a `&'static str`, a `String`, a signal, or a function such as a message.
pub type Text = MaybeDyn<std::borrow::Cow<'static, str>>;

/// Waits.
pub async fn sleep(milliseconds: u32) {
    let promise = Promise::new(&mut |resolve, _reject| {
        let span = i32::try_from(milliseconds).unwrap_or(i32::MAX);
        // Without a window there is nobody to wait for.
        let _ = window().set_timeout_with_callback_and_timeout_and_arguments_0(&resolve, span);
    });
    let _ = JsFuture::from(promise).await;
}

/// Milliseconds since 1970 by the browser's clock.
#[must_use]
pub fn now_ms() -> f64 {
    js_sys::Date::now()
}

/// Sets a custom property of CSS; the policy allows it, where it forbids style attributes.
pub fn set_property(element: &Element, name: &str, value: &str) {
    if let Some(element) = element.dyn_ref::<HtmlElement>() {
        let _ = element.style().set_property(name, value);
    } else if let Some(element) = element.dyn_ref::<web_sys::SvgElement>() {
        let _ = element.style().set_property(name, value);
    }
}

/// Keeps a custom property of an element equal to a value: `style_of(node, "--share", move || …)`.
pub fn style_of(node: NodeRef, name: &'static str, mut value: impl FnMut() -> String + 'static) {
    create_effect(move || {
        let value = value();
        if let Some(element) = element_of(node) {
            set_property(&element, name, &value);
        }
    });
}

/// The element behind a reference, once it exists.
#[must_use]
pub fn element_of(node: NodeRef) -> Option<Element> {
    node.try_get().and_then(|node| node.dyn_into().ok())
}

/// Focuses an element.
pub fn focus(node: &Node) {
    if let Some(element) = node.dyn_ref::<HtmlElement>() {
        let _ = element.focus();
    }
}

/// Focuses what a selector finds first; whether there was something.
pub fn focus_first(selector: &str) -> bool {
    let found = document().query_selector(selector).ok().flatten();
    let Some(found) = found else { return false };
    focus(&found);
    true
}

/// What was stored under a name.
#[must_use]
pub fn stored(name: &str) -> Option<String> {
    window().local_storage().ok()??.get_item(name).ok()?
}

/// Stores under a name; None removes it.
pub fn store(name: &str, value: Option<&str>) {
    if let Ok(Some(storage)) = window().local_storage() {
        let _ = match value {
            Some(value) => storage.set_item(name, value),
            None => storage.remove_item(name),
        };
    }
}

/// Listens to an event of a target for as long as the present scope lives.
pub fn listen<E: JsCast + 'static>(
    target: &web_sys::EventTarget,
    name: &'static str,
    handler: impl FnMut(E) + 'static,
) {
    let mut handler = handler;
    let closure = Closure::<dyn FnMut(web_sys::Event)>::new(move |event: web_sys::Event| {
        handler(event.unchecked_into());
    });
    let target = target.clone();
    let _ = target.add_event_listener_with_callback(name, closure.as_ref().unchecked_ref());
    on_cleanup(move || {
        let _ = target.remove_event_listener_with_callback(name, closure.as_ref().unchecked_ref());
        drop(closure);
    });
}

/// Waits for the next event of a target.
pub async fn next_event(target: &web_sys::EventTarget, name: &str) {
    let (send, receive) = oneshot::channel();
    let once = Closure::once(move |_event: JsValue| {
        let _ = send.send(());
    });
    let _ = target.add_event_listener_with_callback(name, once.as_ref().unchecked_ref());
    let _ = receive.await;
    let _ = target.remove_event_listener_with_callback(name, once.as_ref().unchecked_ref());
}

/// A member of an object, if it is there.
#[must_use]
pub fn member(object: &JsValue, name: &str) -> Option<JsValue> {
    let value = Reflect::get(object, &JsValue::from_str(name)).ok()?;
    (!value.is_undefined() && !value.is_null()).then_some(value)
}

/// Calls a method of an object.
pub fn call(object: &JsValue, name: &str, arguments: &[JsValue]) -> Option<JsValue> {
    let function: Function = member(object, name)?.dyn_into().ok()?;
    let list = js_sys::Array::new();
    for argument in arguments {
        list.push(argument);
    }
    function.apply(object, &list).ok()
}

/// What main.js left for Rust.
#[must_use]
pub fn bridge() -> Option<JsValue> {
    member(&js_sys::global(), "sluice")
}
