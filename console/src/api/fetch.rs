//! 一次 fetch：可中断，失败带类型。
//!
//! Owns one request to this origin. Tells the rest of the console whether the gateway can be reached.
//! Invariant: when the future is dropped, the browser gives the request up.

use wasm_bindgen::JsCast;
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    AbortController, Headers, Request, RequestCache, RequestCredentials, RequestInit, Response,
};

use crate::browser::window;
use crate::errors::Failure;
use crate::session;

/// Gives the request up unless it came to its end.
struct Abort(AbortController);

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Sends a request and reads a successful answer's body; any other answer is a failure.
pub(super) async fn send(
    method: &str,
    path: &str,
    body: Option<String>,
    version: Option<u64>,
) -> Result<String, Failure> {
    let (status, text) = exchange(method, path, body, version).await?;
    if (200..300).contains(&status) {
        Ok(text)
    } else {
        Err(Failure::read(status, &text))
    }
}

/// The body of an answer, whatever its status.
pub(super) async fn text(path: &str) -> Result<String, Failure> {
    exchange("GET", path, None, None)
        .await
        .map(|(_status, text)| text)
}

async fn exchange(
    method: &str,
    path: &str,
    body: Option<String>,
    version: Option<u64>,
) -> Result<(u16, String), Failure> {
    let lost = |_error| {
        session::set_reachable(false);
        Failure::offline()
    };
    let controller = AbortController::new().map_err(lost)?;
    let request = request(method, path, body.as_deref(), version, &controller).map_err(lost)?;
    let _abort = Abort(controller);
    let response = JsFuture::from(window().fetch_with_request(&request))
        .await
        .map_err(lost)?;
    let response: Response = response.dyn_into().map_err(lost)?;
    let text = JsFuture::from(response.text().map_err(lost)?)
        .await
        .map_err(lost)?;
    session::set_reachable(true);
    Ok((response.status(), text.as_string().unwrap_or_default()))
}

fn request(
    method: &str,
    path: &str,
    body: Option<&str>,
    version: Option<u64>,
    controller: &AbortController,
) -> Result<Request, wasm_bindgen::JsValue> {
    let headers = Headers::new()?;
    headers.set("accept", "application/json")?;
    let init = RequestInit::new();
    init.set_method(method);
    init.set_credentials(RequestCredentials::SameOrigin);
    init.set_cache(RequestCache::NoStore);
    init.set_signal(Some(&controller.signal()));
    if let Some(body) = body {
        headers.set("content-type", "application/json")?;
        init.set_body(&body.into());
    }
    if let Some(version) = version {
        headers.set("if-match", &format!("\"{version}\""))?;
    }
    init.set_headers(&headers);
    Request::new_with_str_and_init(path, &init)
}
