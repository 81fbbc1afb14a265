//! 监听调用方断开。
//!
//! A call that is parked here keeps waiting when its caller goes away, unless somebody listens:
//! the runtime reports it only as an `abort` event on the call's own signal (compatibility flag
//! `enable_request_signal`).

use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::AbortSignal;

/// Runs a closure once when the signal aborts; dropping it stops listening.
pub struct AbortListener {
    signal: AbortSignal,
    closure: Closure<dyn FnMut()>,
}

impl AbortListener {
    /// Listens on `signal`. A signal that has already aborted runs `on_abort` at once.
    pub fn new(signal: AbortSignal, mut on_abort: impl FnMut() + 'static) -> Self {
        if signal.aborted() {
            on_abort();
        }
        let closure = Closure::<dyn FnMut()>::new(on_abort);
        let listening = signal
            .add_event_listener_with_callback("abort", closure.as_ref().unchecked_ref())
            .is_ok();
        debug_assert!(listening, "an AbortSignal takes listeners");
        Self { signal, closure }
    }
}

impl Drop for AbortListener {
    fn drop(&mut self) {
        // Without this the runtime would call into a closure that is gone.
        let _removed = self
            .signal
            .remove_event_listener_with_callback("abort", self.closure.as_ref().unchecked_ref());
    }
}
