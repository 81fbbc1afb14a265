//! 等待 promise：两个函数反复使用，不为每次等待新造。
//!
//! Waits for promises as `JsFuture` does, with functions that are used again: each function that WebAssembly
//! lends to JavaScript is registered with the garbage collector, which costs more than the waiting, and a
//! stream waits twice for each of its chunks.
//!
//! Owns the functions that are idle. They know nothing of a request or an object: a pair comes back only when
//! its promise has settled and its future has taken what it said; one whose future is gone is left to the
//! garbage collector.
//!
//! Invariant: a pair stands for one promise at a time.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use js_sys::{Function, Promise};
use wasm_bindgen::prelude::*;

/// Pairs that are kept: as many promises as a busy isolate waits for at once.
const IDLE_LEN_MAX: usize = 1_024;

thread_local! {
    static IDLE: RefCell<Vec<Pair>> = const { RefCell::new(Vec::new()) };
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(extends = js_sys::Object)]
    type Thenable;

    #[wasm_bindgen(method, js_name = then)]
    fn then_call(this: &Thenable, resolved: &Function, rejected: &Function) -> JsValue;
}

#[derive(Default)]
struct Slot {
    settled: Option<Result<JsValue, JsValue>>,
    waker: Option<Waker>,
}

struct Pair {
    slot: Rc<RefCell<Slot>>,
    resolved: Function,
    rejected: Function,
}

impl Pair {
    fn new() -> Self {
        let slot = Rc::new(RefCell::new(Slot::default()));
        let function = |of: fn(JsValue) -> Result<JsValue, JsValue>| {
            let slot = Rc::clone(&slot);
            let settle = move |value| {
                let mut slot = slot.borrow_mut();
                slot.settled = Some(of(value));
                let waker = slot.waker.take();
                drop(slot);
                if let Some(waker) = waker {
                    waker.wake();
                }
            };
            let function = Closure::<dyn FnMut(JsValue)>::new(settle);
            function.into_js_value().unchecked_into()
        };
        Self {
            resolved: function(Ok),
            rejected: function(Err),
            slot,
        }
    }
}

/// See [`wait`].
pub struct Wait(Option<Pair>);

/// What the promise settles with.
pub fn wait(promise: &Promise) -> Wait {
    let idle = IDLE.with_borrow_mut(Vec::pop);
    let pair = idle.unwrap_or_else(Pair::new);
    let thenable: &Thenable = promise.unchecked_ref();
    drop(thenable.then_call(&pair.resolved, &pair.rejected));
    Wait(Some(pair))
}

impl Future for Wait {
    type Output = Result<JsValue, JsValue>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(pair) = &self.0 else {
            // Asked again after its end.
            return Poll::Pending;
        };
        let mut slot = pair.slot.borrow_mut();
        let Some(settled) = slot.settled.take() else {
            slot.waker = Some(context.waker().clone());
            return Poll::Pending;
        };
        drop(slot);
        if let Some(pair) = self.0.take() {
            IDLE.with_borrow_mut(|idle| {
                if idle.len() < IDLE_LEN_MAX {
                    idle.push(pair);
                }
            });
        }
        Poll::Ready(settled)
    }
}
